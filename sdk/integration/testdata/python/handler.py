import json
import os
import urllib.parse
import urllib.request

PORT = os.environ.get("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", "2773")


def get_secret(secret_id):
    query = urllib.parse.urlencode({"secretId": secret_id})
    request = urllib.request.Request(
        f"http://localhost:{PORT}/secretsmanager/get?{query}",
        headers={"X-Aws-Parameters-Secrets-Token": os.environ["AWS_SESSION_TOKEN"]},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["SecretString"]


def handler(event, context):
    # Asked for at each invocation: the layer caches it, and knows of rotations.
    login = json.loads(get_secret(os.environ["DB_SECRET_ID"]))
    return {"user": login["username"], "passwordLength": len(login["password"])}
