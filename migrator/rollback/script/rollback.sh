#!/usr/bin/env bash
# Rolls a migration to AWS Secrets Manager back, service by service, without the
# migrator. Written by the migrator, and again after each of its steps.
#
#   bash rollback.sh                    all services
#   bash rollback.sh lambda/orders …    these alone
#   bash rollback.sh -n                 say what would be done, and change nothing
#
# It needs bash 3.2 or later and the aws CLI (version 1 or 2) with the rights of the
# migrator, and no other program. It holds no value. It can be run again at any time,
# changes nothing that somebody else changed since, and goes on with the other
# services where one can't be brought back. It exits with 1 if there was one.
#
# Run the migrator's own rollback afterwards if you can: it removes the rights that
# the migration gave, and writes its journal up.
set -euo pipefail

export AWS_PAGER='' AWS_CLI_AUTO_PROMPT=off AWS_CLI_FILE_ENCODING=UTF-8 AWS_CLI_OUTPUT_ENCODING=UTF-8 PYTHONUTF8=1
umask 077
{ set +x; } 2>/dev/null # a trace would show values

dry_run=''
if [ "${1:-}" = '-n' ]; then
  dry_run=yes
  shift
fi
only=("$@")
unknown=" $* " # of those asked for, the ones that the migration didn't switch
failed=0
problem=''
subject=''

say() { printf '%s\n' "$*"; }

# fail notes the first reason why a service can't be brought back.
fail() {
  if [ -z "$problem" ]; then
    problem=$*
  fi
}

# wanted tells whether a service is to be brought back, and begins it.
wanted() {
  subject=$1
  problem=''
  if [ "${#only[@]}" -eq 0 ]; then
    return 0
  fi
  local id
  for id in "${only[@]}"; do
    if [ "$id" = "$1" ]; then
      unknown=${unknown/" $1 "/ }
      return 0
    fi
  done
  subject=''
  return 1
}

finish() {
  if [ -n "$subject" ] && [ -n "$problem" ]; then
    say "$subject: NOT brought back: $problem"
    failed=1
  fi
  subject=''
}

# tell_unknown tells of what was asked for and isn't here.
tell_unknown() {
  local id
  for id in $unknown; do
    say "$id: NOT brought back: it is not among what the migration switched: look at its spelling, and at 'migrate status'"
    failed=1
  done
}

# ask runs the aws CLI and takes its answer into $answer.
ask() {
  if ! answer=$(aws "$@"); then
    fail "aws $3 $4 failed, see above"
    return 1
  fi
}

# tell runs the aws CLI with its standard input, and takes its answer into $answer.
# What the CLI or AWS says when it fails may quote the input, which is secret: so
# only AWS's code is shown.
tell() {
  if ! answer=$(aws "$@" 2>&1); then
    case $answer in
      *'An error occurred ('*)
        answer=${answer#*'An error occurred ('}
        answer="AWS answered ${answer%%)*}"
        ;;
      *) answer="aws $3 $4 failed" ;;
    esac
    return 1
  fi
}

# check_secret <region> <name> <version>: the old value is of no use once the
# secret was rotated, and maybe already while it is.
check_secret() {
  [ -z "$problem" ] || return 0
  local stages
  if ! stages=$(aws --region "$1" secretsmanager describe-secret --secret-id "$2" --output text \
    --query "join('/', ['', to_string(contains(VersionIdsToStages.\"$3\" || \`[]\`, 'AWSCURRENT')), to_string(length(values(VersionIdsToStages || \`{}\`)[?contains(@, 'AWSPENDING') && !contains(@, 'AWSCURRENT')])), ''])" 2>&1); then
    case $stages in
      *ResourceNotFoundException*) return 0 ;; # what is gone wasn't rotated
    esac
    fail "secret $2 can't be read: $stages"
    return 0
  fi
  case $stages in # the CLI may have warned of something besides
    */true/0/*) ;;
    */true/*)
      fail "a rotation of secret $2 is under way, or failed halfway, so the old value may be of no use already: wait until it is done; or, if what the secret is for still takes the old value, take the label AWSPENDING off its version, and run again"
      ;;
    *)
      fail "secret $2 was rotated or changed since the migration wrote it, so the old value may be of no use: leave the service at the secret, or make version $3 its current one if what it is for still takes that"
      ;;
  esac
}

is_one_of() {
  local text=$1 other
  shift
  for other in "$@"; do
    if [ "$text" = "$other" ]; then
      return 0
    fi
  done
  return 1
}

# --- Lambda ---

# read_function: its revision, which Lambda compares when the change comes, with the
# names of its variables and the texts of the references, all from one look.
read_function() {
  local query name
  query='[RevisionId, LastUpdateStatus, Environment.Error.ErrorCode, join(`""`, [`"="`, join(`" "`, keys(Environment.Variables || `{}`))])'
  for name in "${moved[@]}"; do
    query="$query, Environment.Variables.\"${name}_SECRET_ID\""
  done
  ask --region "$region" lambda get-function-configuration --function-name "$lambda" --output text --query "$query]" || return 1
  IFS=$'\t' read -r -a seen <<<"$answer"
  if [ "${seen[2]}" != None ]; then
    # It looks empty, and writing it would take all variables away.
    fail "its environment cannot be decrypted (${seen[2]}): the right kms:Decrypt on its key is needed"
    return 1
  fi
  names=${seen[3]#=}
}

# begin_function <region> <ARN> <variables that moved…>
begin_function() {
  region=$1 lambda=$2 names='' removed=() added='' changes=0 aliases=() seen=()
  shift 2
  moved=("$@")
  [ -z "$problem" ] || return 0
  read_function || return 0
  if [ "${seen[1]}" = InProgress ]; then
    aws --region "$region" lambda wait function-updated --function-name "$lambda" || fail 'an update of the function is under way and does not end'
    read_function || return 0
  fi
}

has() {
  local name
  for name in $names; do
    if [ "$name" = "$1" ]; then
      return 0
    fi
  done
  return 1
}

# drop <variable>: it goes.
drop() {
  if has "$1"; then
    removed+=("$1")
    changes=$((changes + 1))
  fi
}

# reference <variable> <text>: the reference goes, if it is the migration's.
reference() {
  local i
  has "$1_SECRET_ID" || return 0
  for ((i = 0; i < ${#moved[@]}; i++)); do
    if [ "${moved[i]}" = "$1" ] && [ "${seen[i + 4]:-}" != "$2" ]; then
      fail "variable $1_SECRET_ID names another secret than the migration wrote: correct the function by hand"
      return 0
    fi
  done
  drop "$1_SECRET_ID"
}

add() {
  added="$added,\"$1\":$2"
  changes=$((changes + 1))
}

# variable_text <variable> <reference> <text>: a variable that is no secret.
variable_text() {
  [ -z "$problem" ] || return 0
  reference "$1" "$2"
  has "$1" || add "$1" "\"$3\""
}

# variable_secret <variable> <reference> <secret> <field> <version>: if the variable
# is gone, it comes back from the secret.
variable_secret() {
  [ -z "$problem" ] || return 0
  reference "$1" "$2"
  if has "$1" || [ -n "$problem" ]; then
    return 0
  fi
  if [ -n "$dry_run" ]; then
    add "$1" '""'
    return 0
  fi
  local output=json pattern
  if [ -n "$4" ]; then
    output=text
  fi
  ask --region "$region" secretsmanager get-secret-value --secret-id "$3" --version-id "$5" --output "$output" --query SecretString || return 0
  if [ -n "$4" ]; then
    # A string of JSON stays as it is written; a number becomes one.
    pattern="[{,][[:space:]]*\"$4\"[[:space:]]*:[[:space:]]*(\"([^\"\\\\]|\\\\.)*\"|[0-9]+)"
    if ! [[ $answer =~ $pattern ]]; then
      answer=''
      fail "secret $3 has no key $4"
      return 0
    fi
    answer=${BASH_REMATCH[1]}
    case $answer in
      \"*) ;;
      *) answer="\"$answer\"" ;;
    esac
  fi
  add "$1" "$answer"
  answer=''
}

# alias_back <name> <old version> <versions of the migration…>
alias_back() { aliases+=("$*"); }

# point_alias <name> <old version> <versions of the migration…>
point_alias() {
  local name=$1 old=$2 at its_revision others
  shift 2
  ask --region "$region" lambda get-alias --function-name "$lambda" --name "$name" --output text --query '[FunctionVersion,RevisionId,length(not_null(RoutingConfig.AdditionalVersionWeights,`{}`))]' || return 0
  read -r at its_revision others <<<"$answer"
  if [ "$others" != 0 ]; then
    fail "its alias $name divides its traffic between two versions: wait until that deployment is complete"
    return 0
  fi
  if [ "$at" = "$old" ]; then
    return 0
  fi
  if ! is_one_of "$at" "$@"; then
    fail "its alias $name names version $at, which somebody else deployed since"
    return 0
  fi
  say "$subject: alias $name goes back to version $old"
  [ -z "$dry_run" ] || return 0
  ask --region "$region" lambda update-alias --function-name "$lambda" --name "$name" --function-version "$old" --revision-id "$its_revision" --output text --query FunctionVersion || true
}

end_function() {
  local entry kept='' name body
  [ -z "$problem" ] || return 0
  for entry in ${aliases[@]+"${aliases[@]}"}; do
    # shellcheck disable=SC2086 # names and numbers
    point_alias $entry
  done
  [ -z "$problem" ] || return 0
  if [ "$changes" -eq 0 ]; then
    say "$subject: is at its old values"
    return 0
  fi
  say "$subject: $changes variables go back"
  [ -z "$dry_run" ] || return 0
  for name in $names; do
    if ! is_one_of "$name" ${removed[@]+"${removed[@]}"}; then
      kept="$kept,\"$name\":Environment.Variables.\"$name\""
    fi
  done
  if [ -n "$kept" ]; then
    ask --region "$region" lambda get-function-configuration --function-name "$lambda" --output json --query "{${kept#,}}" || return 0
    body=${answer%\}}$added
  else
    body="{${added#,}"
  fi
  answer=''
  if ! tell --region "$region" lambda update-function-configuration --function-name "$lambda" --revision-id "${seen[0]}" --environment file:///dev/stdin --output text --query LastUpdateStatus \
    < <(printf '{"Variables":%s}}' "$body"); then
    fail "the function could not be updated: $answer: if somebody else changed it at this moment, run again"
    return 0
  fi
  body='' added=''
  if aws --region "$region" lambda wait function-updated --function-name "$lambda"; then
    say "$subject: back at its old values"
  else
    fail 'its update does not end'
  fi
}

# --- ECS ---

# service <region> <cluster> <service> <old revision> <revisions of the migration…>
service() {
  [ -z "$problem" ] || return 0
  local region=$1 cluster=$2 service=$3 old=$4
  shift 4
  ask --region "$region" ecs describe-services --cluster "$cluster" --services "$service" --output text \
    --query "services[0].deployments[?status=='PRIMARY'] | [0].taskDefinition" || return 0
  if [ "$answer" != "$old" ]; then
    if ! is_one_of "$answer" "$@"; then
      fail "it runs $answer, which somebody else deployed since: deploy a revision, the way that was, which has the variables as $old has them"
      return 0
    fi
    say "$subject: goes back from $answer to $old"
    [ -z "$dry_run" ] || return 0
    ask --region "$region" ecs update-service --cluster "$cluster" --service "$service" --task-definition "$old" --output text --query service.status || return 0
  fi
  [ -z "$dry_run" ] || return 0
  if aws --region "$region" ecs wait services-stable --cluster "$cluster" --services "$service"; then
    say "$subject: runs $old"
  else
    fail 'it does not reach a steady state'
  fi
}

# deregister <region> <revision>: what starts the newest revision goes back to the
# one before.
deregister() {
  [ -z "$problem" ] || return 0
  ask --region "$1" ecs describe-task-definition --task-definition "$2" --output text --query taskDefinition.status || return 0
  if [ "$answer" != ACTIVE ]; then
    say "$subject: $2 is deregistered"
    return 0
  fi
  say "$subject: $2 is deregistered, so that the revision before is the newest"
  [ -z "$dry_run" ] || return 0
  ask --region "$1" ecs deregister-task-definition --task-definition "$2" --output text --query taskDefinition.status || true
}

# newest <region> <family> <old revision>: what is left is the old one.
newest() {
  [ -z "$problem" ] && [ -z "$dry_run" ] || return 0
  ask --region "$1" ecs describe-task-definition --task-definition "$2" --output text --query taskDefinition.taskDefinitionArn || return 0
  if [ "$answer" = "$3" ]; then
    say "$subject: starts $3"
  else
    fail "it starts the newest revision, which is $answer and not $3: see who registered it (the migration too, if its apply was stopped there), and whether it has the old values"
  fi
}

# swap <old> <new…>: puts the old revision into $answer in the place of a new one.
swap() {
  local old=$1 new before=$answer back="\"TaskDefinitionArn\": \"$1\""
  shift
  case $answer in
    *"\"TaskDefinitionArn\": \"$old\""*) return 2 ;;
  esac
  for new in "$@"; do
    new="\"TaskDefinitionArn\": \"$new\""
    answer=${answer//"$new"/$back}
  done
  if [ "$answer" = "$before" ]; then
    fail 'it starts a task that somebody else has set since'
    return 1
  fi
}

# rule <region> <rule> <bus> <target> <old revision> <revisions of the migration…>
rule() {
  [ -z "$problem" ] || return 0
  local region=$1 rule=$2 bus=$3 target=$4 result=0
  shift 4
  ask --region "$region" events list-targets-by-rule --rule "$rule" --event-bus-name "$bus" --output json --query "Targets[?Id=='$target'] | [0]" || return 0
  swap "$@" || result=$?
  if [ "$result" -eq 2 ]; then
    say "$subject: starts $1"
    return 0
  fi
  [ "$result" -eq 0 ] || return 0
  say "$subject: goes back to $1"
  [ -z "$dry_run" ] || return 0
  if ! tell --region "$region" events put-targets --rule "$rule" --event-bus-name "$bus" --targets file:///dev/stdin --output text --query "join('/', ['failed', to_string(FailedEntryCount)])" \
    < <(printf '[%s]' "$answer"); then
    fail "the target could not be changed: $answer"
    return 0
  fi
  case $answer in
    *failed/0*) ;;
    *) fail 'the target could not be changed: EventBridge took the call and not the target' ;;
  esac
}

# schedule <region> <group> <name> <old revision> <revisions of the migration…>
schedule() {
  [ -z "$problem" ] || return 0
  local region=$1 group=$2 name=$3 key kept='' rest target result=0
  shift 3
  ask --region "$region" scheduler get-schedule --group-name "$group" --name "$name" --output text --query 'keys(@)' || return 0
  for key in $answer; do
    case $key in
      Arn | CreationDate | LastModificationDate | ResponseMetadata | Target) ;;
      *) kept="$kept,$key:$key" ;;
    esac
  done
  ask --region "$region" scheduler get-schedule --group-name "$group" --name "$name" --output json --query "{${kept#,}}" || return 0
  rest=$answer # all but the target, whose input may be a secret
  ask --region "$region" scheduler get-schedule --group-name "$group" --name "$name" --output json --query Target || return 0
  swap "$@" || result=$?
  if [ "$result" -eq 2 ]; then
    say "$subject: starts $1"
    return 0
  fi
  [ "$result" -eq 0 ] || return 0
  say "$subject: goes back to $1"
  [ -z "$dry_run" ] || return 0
  target=$answer
  if tell --region "$region" scheduler update-schedule --cli-input-json "$rest" --target file:///dev/stdin --output text --query ScheduleArn < <(printf '%s' "$target"); then
    return 0
  fi
  # It may be its start date, which Scheduler refuses once it is past.
  case $kept,$rest in
    *,StartDate:StartDate,*'"rate('*)
      fail "the schedule could not be changed: $answer: Scheduler refuses a StartDate that is past: set it to the next of its times by hand, then run again"
      return 0
      ;;
    *,StartDate:StartDate,*) ;;
    *)
      fail "the schedule could not be changed: $answer"
      return 0
      ;;
  esac
  kept=$kept,
  kept=${kept/,StartDate:StartDate,/,}
  kept=${kept%,}
  ask --region "$region" scheduler get-schedule --group-name "$group" --name "$name" --output json --query "{${kept#,}}" || return 0
  rest=$answer
  tell --region "$region" scheduler update-schedule --cli-input-json "$rest" --target file:///dev/stdin --output text --query ScheduleArn < <(printf '%s' "$target") ||
    fail "the schedule could not be changed: $answer"
}
