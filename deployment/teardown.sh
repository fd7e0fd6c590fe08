#!/usr/bin/env bash
# Deletes the stack. Keeps originals and records unless --delete-data is given.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deployment/common.sh
. deployment/common.sh

usage() {
    cat <<'END'
deployment/teardown.sh [--stack NAME] [--region REGION] [--delete-data] [--yes]

  --stack NAME     stack name (default: image-processor)
  --region REGION  AWS region (default: AWS_REGION, or that of `aws configure`)
  --delete-data    also delete the originals, with all their versions, and the table of records
  --yes            do not ask for confirmation
END
}

delete_data=false
while [ $# -gt 0 ]; do
    case $1 in
        --stack | --region)
            need_value "$1" $#
            declare "${1#--}=$2"
            shift
            ;;
        --delete-data) delete_data=true ;;
        --yes) yes=true ;;
        --help | -h) usage && exit ;;
        *) expect "an option of teardown.sh (see --help), got $1" ;;
    esac
    shift
done
have aws || expect "the AWS CLI (aws) on the PATH, got none"
! have aws || find_region
[ -n "$region" ] || expect "a region for --region, got none"
exit_on_errors
account=$(account)

resource() { # resource LOGICAL-ID: its physical name, empty if the stack does not own one
    aws cloudformation describe-stack-resources --region "$region" --stack-name "$stack" \
        --query "StackResources[?LogicalResourceId=='$1'].PhysicalResourceId" --output text
}

# From the stack's resources, not its outputs: an existing bucket is not ours to delete.
processed=$(resource ProcessedBucket) || die "expected a stack, got none called $stack in $region"
uploads=$(resource UploadBucket)
table=$(resource CatalogTable)

say "stack $stack in $region, account $account"
printf '   deleted: the stack, and every rendition in s3://%s\n' "$processed"
fate=kept
[ "$delete_data" = false ] || fate=deleted
[ -z "$uploads" ] || printf '   %s: the originals in s3://%s\n' "$fate" "$uploads"
[ -z "$table" ] || printf '   %s: the records in table %s\n' "$fate" "$table"
confirm "Continue?" || die "nothing was deleted"

# shellcheck disable=SC2016 # the backquotes are JMESPath's
versions='{Objects: [Versions, DeleteMarkers][][].{Key: Key, VersionId: VersionId}, Quiet: `true`}'

empty() { # empty BUCKET: every object, every version, every delete marker
    local bucket=$1 batch failed
    aws s3api head-bucket --bucket "$bucket" --region "$region" >/dev/null 2>&1 || return 0
    aws s3 rm "s3://$bucket" --recursive --only-show-errors --region "$region"
    while batch=$(aws s3api list-object-versions --bucket "$bucket" --region "$region" --max-items 500 \
        --query "$versions" --output json) && grep -q '"Key"' <<<"$batch"; do
        failed=$(aws s3api delete-objects --bucket "$bucket" --region "$region" --delete "$batch" --output text)
        [ -z "$failed" ] || die "expected every object of $bucket to be deleted, got: $failed"
    done
}

# A running function may still write a rendition; then the deletion fails and is retried.
say "deleting the stack"
for attempt in 1 2; do
    empty "$processed"
    aws cloudformation delete-stack --region "$region" --stack-name "$stack"
    ! aws cloudformation wait stack-delete-complete --region "$region" --stack-name "$stack" || break
    [ "$attempt" = 1 ] || die "expected the stack to be deleted, got a failure: see its events in CloudFormation"
done

if [ "$delete_data" = true ]; then
    if [ -n "$uploads" ]; then
        say "deleting the originals"
        empty "$uploads"
        aws s3api delete-bucket --bucket "$uploads" --region "$region"
    fi
    if [ -n "$table" ]; then
        say "deleting the records"
        aws dynamodb delete-table --table-name "$table" --region "$region" --output text --query TableDescription.TableName
    fi
fi
say "done"
