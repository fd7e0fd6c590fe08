#!/usr/bin/env bash
# Builds the functions and deploys the stack. Everything that was asked for is judged first.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deployment/common.sh
. deployment/common.sh

usage() {
    cat <<'END'
deployment/deploy.sh [--stack NAME] [--region REGION] [--recipe FILE] [--dry-run] [--yes] [NAME=VALUE ...]

  --stack NAME     the stack's name; buckets and functions are named after it (image-processor)
  --region REGION  where to deploy (AWS_REGION, or what `aws configure` knows)
  --recipe FILE    the recipe to put into the package; without it the built-in one
  --dry-run        judge everything, say what would be done, and make nothing
  --yes            do not ask
  NAME=VALUE       a parameter of deployment/template.yaml, as in EnableApi=false; on an existing
                   stack, a parameter that is not named keeps its value
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

# ---------------------------------------------------------------- judge
PATH=$PATH:$PWD/.venv-sam/bin # `make sam` puts it there
python=${PYTHON:-python3}
have aws || expect "the AWS CLI (aws) on the PATH, got none"
have sam || expect "the SAM CLI (sam) on the PATH, got none: install it, or run make sam"
have make || expect "make on the PATH, got none"
if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    "$python" deployment/interpreter.py >/dev/null || mistakes=$((mistakes + 1))
else
    expect "Python 3.11 or newer for PYTHON, got $("$python" --version 2>&1 || true)"
    settle # what follows is written in Python
fi
if [ -n "$recipe" ]; then
    [ -r "$recipe" ] || expect "a readable file for --recipe, got $recipe"
    given+=("Recipe=recipe.toml")
fi
! have aws || find_region
overrides=$("$python" deployment/parameters.py --stack "$stack" --region "$region" -- "${given[@]+"${given[@]}"}") ||
    mistakes=$((mistakes + 1))
settle
account=$(account)

value_of() { # value_of NAME: what was given for a parameter
    local text
    for text in "${given[@]+"${given[@]}"}"; do
        case $text in "$1="*) printf '%s' "${text#*=}" ;; esac
    done
}

value_in_force() { # value_in_force NAME: what was given, else what the stack has
    local text
    for text in "${given[@]+"${given[@]}"}"; do
        case $text in "$1="*) printf '%s' "${text#*=}" && return ;; esac
    done
    parameter "$1"
}

# What the edge may know is judged as the functions will judge it. Secrets stay in the environment.
publish() { # publish OPTION...
    local unsigned hints
    unsigned=$(value_in_force AllowUnsigned)
    hints=$(value_in_force EnableHints)
    [ "$unsigned" != true ] || export IMAGE_PROCESSOR_ALLOW_UNSIGNED=1
    [ "$hints" != true ] || export IMAGE_PROCESSOR_HINTS=1
    [ -z "$keys" ] || export IMAGE_PROCESSOR_SIGNING_KEYS=$keys
    [ -z "$dialects" ] || export IMAGE_PROCESSOR_DIALECTS=$dialects
    "$python" deployment/edge/publish.py "$@" ${recipe_text:+--recipe "$recipe_text"}
}

dialects=''
for pair in Thumbor:thumbor Dit:dit Imgproxy:imgproxy; do
    [ -z "$(value_in_force "${pair%:*}Secret")" ] || dialects+=${dialects:+,}${pair#*:}
done

keys=''
keys_version=''
secret=$(value_in_force SigningKeysSecret)
if [ -n "$secret" ]; then
    found=$(aws secretsmanager get-secret-value --region "$region" --secret-id "$secret" \
        --query '[VersionId, SecretString]' --output text) ||
        expect "a secret that these credentials may read for SigningKeysSecret, got $secret"
    read -r keys_version keys <<<"$found"
fi
recipe_text=$recipe
recipe_name=$(value_in_force Recipe)
recipe_bucket=$(value_in_force RecipeBucket)
if [ -z "$recipe_bucket" ]; then
    [ -n "$recipe" ] || [ -z "$recipe_name" ] ||
        expect "the file again for --recipe because the stack's recipe travels in the package, got none"
else
    recipe_text=$(mktemp)
    trap 'rm -f "$recipe_text"' EXIT
    aws s3 cp --region "$region" "s3://$recipe_bucket/$recipe_name" "$recipe_text" --quiet ||
        expect "a recipe that these credentials may read in RecipeBucket, got none in $recipe_bucket"
fi
settle
(publish) || mistakes=$((mistakes + 1))
settle

uploads=$(value_of ExistingUploadBucket)
if [ -n "$uploads" ]; then
    enabled=$(aws s3api get-bucket-notification-configuration --bucket "$uploads" \
        --query 'EventBridgeConfiguration != null' --output text) ||
        expect "a bucket that these credentials may read for ExistingUploadBucket, got $uploads"
    [ "${enabled:-True}" = True ] ||
        expect "EventBridge notifications to be on for $uploads, got off: turn them on under Properties," \
            "Event notifications, of the bucket in the S3 console"
    settle
fi

arch=$(value_of Architecture)
arch=${arch:-arm64}
say "stack $stack in $region, account $account, for $arch"
printf '   %s\n' "${given[@]+"${given[@]}"}"
if [ "$dry_run" = true ]; then
    say "a dry run: nothing was made"
    exit
fi
sure "Build and deploy?" || die "nothing was made"

# ---------------------------------------------------------------- build and deploy
build=build/sam
say "building"
ARCH=$arch RECIPE_FILE=$recipe PYTHON=$python \
    sam build --template-file deployment/template.yaml --build-dir "$build"

# With SnapStart a version is published when this changes: with the code, or with a parameter.
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
    say "telling the edge what URLs may ask for"
    (publish --store "$store")
fi

# ---------------------------------------------------------------- what to do with it
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
