#!/usr/bin/env bash
# Builds the functions and deploys the stack. Validates everything first.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deployment/common.sh
. deployment/common.sh

usage() {
    cat <<'END'
deployment/deploy.sh [--stack NAME] [--region REGION] [--recipe FILE] [--dry-run] [--yes] [NAME=VALUE ...]

  --stack NAME     stack name, prefix of buckets and functions (default: image-processor)
  --region REGION  AWS region (default: AWS_REGION, or that of `aws configure`)
  --recipe FILE    recipe to put into the package (default: the built-in one)
  --dry-run        validate, print what would be done, and deploy nothing
  --yes            do not ask for confirmation
  NAME=VALUE       a parameter of deployment/template.yaml, such as EnableApi=false; on an existing
                   stack, parameters that are not named keep their values
END
}

dry_run=false
recipe=''
given=()
while [ $# -gt 0 ]; do
    case $1 in
        --stack | --region | --recipe)
            need_value "$1" $#
            declare "${1#--}=$2"
            shift
            ;;
        --dry-run) dry_run=true ;;
        --yes) yes=true ;;
        --help | -h) usage && exit ;;
        -*) expect "an option of deploy.sh (see --help), got $1" ;;
        *) given+=("$1") ;;
    esac
    shift
done

# ---------------------------------------------------------------- validate
PATH=$PATH:$PWD/.venv-sam/bin # `make sam` installs it there
python=${PYTHON:-python3}
have aws || expect "the AWS CLI (aws) on the PATH, got none"
have sam || expect "the SAM CLI (sam) on the PATH, got none: install it, or run make sam"
have make || expect "make on the PATH, got none"
if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    "$python" deployment/interpreter.py >/dev/null || errors=$((errors + 1))
else
    expect "Python 3.11 or newer for PYTHON, got $("$python" --version 2>&1 || true)"
    exit_on_errors # the rest needs Python
fi
# publish.py reads recipes as the functions do, with the package's own code and its dependencies.
if ! "$python" -c 'import msgspec' 2>/dev/null; then
    make --no-print-directory PYTHON="$python" venv >&2 || expect "make venv to install the package, got a failure"
    exit_on_errors
    python=.venv/bin/python
fi
if [ -n "$recipe" ]; then
    [ -r "$recipe" ] || expect "a readable file for --recipe, got $recipe"
    given+=("Recipe=recipe.toml")
fi
! have aws || find_region
overrides=$("$python" deployment/parameters.py --stack "$stack" --region "$region" -- "${given[@]+"${given[@]}"}") ||
    errors=$((errors + 1))
exit_on_errors
account=$(account)

given_value() { # given_value NAME: the value on the command line
    local text
    for text in "${given[@]+"${given[@]}"}"; do
        case $text in "$1="*) printf '%s' "${text#*=}" ;; esac
    done
}

effective_value() { # effective_value NAME: the value on the command line, else the stack's
    local text
    for text in "${given[@]+"${given[@]}"}"; do
        case $text in "$1="*) printf '%s' "${text#*=}" && return ;; esac
    done
    parameter "$1"
}

# Validates recipe and keys as the functions will, or writes them. Secrets stay in the environment.
publish() { # publish OPTION...
    local unsigned hints
    unsigned=$(effective_value AllowUnsigned)
    hints=$(effective_value EnableHints)
    [ "$unsigned" != true ] || export IMAGE_PROCESSOR_ALLOW_UNSIGNED=1
    [ "$hints" != true ] || export IMAGE_PROCESSOR_HINTS=1
    [ -z "$keys" ] || export IMAGE_PROCESSOR_SIGNING_KEYS=$keys
    [ -z "$dialects" ] || export IMAGE_PROCESSOR_DIALECTS=$dialects
    "$python" deployment/edge/publish.py "$@" ${recipe_text:+--recipe "$recipe_text"}
}

dialects=''
for pair in Thumbor:thumbor Dit:dit Imgproxy:imgproxy; do
    [ -z "$(effective_value "${pair%:*}Secret")" ] || dialects+=${dialects:+,}${pair#*:}
done

keys=''
keys_version=''
secret=$(effective_value SigningKeysSecret)
if [ -n "$secret" ]; then
    found=$(aws secretsmanager get-secret-value --region "$region" --secret-id "$secret" \
        --query '[VersionId, SecretString]' --output text) ||
        expect "a secret that these credentials may read for SigningKeysSecret, got $secret"
    read -r keys_version keys <<<"$found"
fi
recipe_text=$recipe
recipe_name=$(effective_value Recipe)
recipe_bucket=$(effective_value RecipeBucket)
if [ -z "$recipe_bucket" ]; then
    [ -n "$recipe" ] || [ -z "$recipe_name" ] ||
        expect "the file again for --recipe because the stack's recipe is in the package, got none"
else
    recipe_text=$(mktemp)
    trap 'rm -f "$recipe_text"' EXIT
    aws s3 cp --region "$region" "s3://$recipe_bucket/$recipe_name" "$recipe_text" --quiet ||
        expect "a recipe that these credentials may read in RecipeBucket, got none in $recipe_bucket"
fi
exit_on_errors
(publish) || errors=$((errors + 1))
exit_on_errors

uploads=$(given_value ExistingUploadBucket)
if [ -n "$uploads" ]; then
    enabled=$(aws s3api get-bucket-notification-configuration --bucket "$uploads" \
        --query 'EventBridgeConfiguration != null' --output text) ||
        expect "a bucket that these credentials may read for ExistingUploadBucket, got $uploads"
    [ "${enabled:-True}" = True ] ||
        expect "EventBridge notifications to be on for $uploads, got off: turn them on under Properties," \
            "Event notifications, of the bucket in the S3 console"
    exit_on_errors
fi

arch=$(given_value Architecture)
arch=${arch:-arm64}
say "stack $stack in $region, account $account, for $arch"
printf '   %s\n' "${given[@]+"${given[@]}"}"
if [ "$dry_run" = true ]; then
    say "dry run: nothing was deployed"
    exit
fi
confirm "Build and deploy?" || die "nothing was deployed"

# ---------------------------------------------------------------- build and deploy
build=build/sam
say "building"
ARCH=$arch RECIPE_FILE=$recipe PYTHON=$python \
    sam build --template-file deployment/template.yaml --build-dir "$build"

# With SnapStart a version is published when this changes: the code or a parameter.
release=$({ find "$build" -type f -exec cksum {} + | sort && printf '%s' "$overrides$keys_version"; } |
    cksum | tr -d ' ')

say "deploying"
arguments=("ParameterKey=Release,ParameterValue=$release")
[ -z "$keys_version" ] || arguments+=("ParameterKey=SigningKeysVersion,ParameterValue=$keys_version")
while read -r override; do
    [ -z "$override" ] || arguments+=("$override")
done <<<"$overrides"
sam deploy --template-file "$build/template.yaml" --stack-name "$stack" --region "$region" \
    --resolve-s3 --s3-prefix "$stack" --capabilities CAPABILITY_IAM --no-confirm-changeset \
    --no-fail-on-empty-changeset --parameter-overrides "${arguments[@]}"

store=$(output EdgeStoreArn)
if [ -n "$store" ]; then
    say "updating the CloudFront function's store"
    (publish --store "$store")
fi

# ---------------------------------------------------------------- next steps
upload_bucket=$(output UploadBucketName)
processed_bucket=$(output ProcessedBucketName)
api=$(output ApiUrl)
cdn=$(output CdnUrl)
say "deployed"
printf '   %-10s %s\n' uploads "s3://$upload_bucket" renditions "s3://$processed_bucket" \
    API "${api:-off}" CDN "${cdn:-off}"
say "try it"
printf '   %s\n' "aws s3 cp photo.jpg s3://$upload_bucket/photo.jpg --region $region" \
    "aws s3 ls s3://$processed_bucket/photo.jpg/ --region $region"
if [ -n "$cdn" ]; then
    printf '   %s\n' "curl -o small.jpg '$cdn/photo.jpg/w=640,fm=jpeg.jpg'"
else
    printf '   %s\n' "aws s3 cp 's3://$processed_bucket/photo.jpg/w=640,fm=jpeg.jpg' small.jpg --region $region"
fi
