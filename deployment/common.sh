# shellcheck shell=bash
# Shared by deploy.sh and teardown.sh: output, questions, common options, stack queries.

stack=image-processor
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}
yes=false

say() { printf '\n== %s\n' "$*"; }
wrong() { printf '%s\n' "$*" >&2; }
die() {
    wrong "$*"
    exit 1
}

# Reports every error before the script exits: `expect` prints one, `exit_on_errors` exits.
errors=0
expect() {
    wrong "expected $*"
    errors=$((errors + 1))
}
exit_on_errors() { [ "$errors" -eq 0 ] || exit 2; }

have() { command -v "$1" >/dev/null; }

need_value() {
    [ "$2" -ge 2 ] || {
        wrong "expected a value for $1, got none"
        exit 2
    }
}

confirm() { # confirm QUESTION
    [ "$yes" = false ] || return 0
    local answer=''
    printf '\n%s [y/N] ' "$1"
    read -r answer || true
    [ "$answer" = y ] || [ "$answer" = yes ]
}

find_region() {
    [ -n "$region" ] || region=$(aws configure get region 2>/dev/null) || true
}

account() {
    aws sts get-caller-identity ${region:+--region "$region"} --query Account --output text ||
        die "expected working AWS credentials (aws configure, or AWS_PROFILE), got none"
}

parameter() { # parameter NAME: a parameter of the stack, empty if there is no such stack
    local value
    value=$(aws cloudformation describe-stacks --region "$region" --stack-name "$stack" \
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue | [0]" --output text 2>/dev/null) ||
        return 0
    [ "$value" = None ] || printf '%s' "$value"
}

output() { # output NAME: an output of the stack, empty if there is none
    local value
    value=$(aws cloudformation describe-stacks --region "$region" --stack-name "$stack" \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue | [0]" --output text)
    [ "$value" = None ] || printf '%s' "$value"
}
