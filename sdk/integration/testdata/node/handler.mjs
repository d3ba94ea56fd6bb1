const port = process.env.PARAMETERS_SECRETS_EXTENSION_HTTP_PORT ?? "2773";

async function getSecret(secretId) {
  const response = await fetch(
    `http://localhost:${port}/secretsmanager/get?${new URLSearchParams({ secretId })}`,
    { headers: { "X-Aws-Parameters-Secrets-Token": process.env.AWS_SESSION_TOKEN } },
  );
  if (!response.ok) {
    throw new Error(`read secret ${secretId}: status ${response.status}: ${await response.text()}`);
  }
  return (await response.json()).SecretString;
}

export async function handler(event) {
  // Asked for at each invocation: the layer caches it, and knows of rotations.
  const login = JSON.parse(await getSecret(process.env.DB_SECRET_ID));
  return { user: login.username, passwordLength: login.password.length };
}
