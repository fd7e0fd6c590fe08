// A CDK app that deploys a release of the image processor. CfnInclude keeps its template as it is, with the transform:
// SAM translates it in CloudFormation, which `cdk deploy` allows.
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';

/**
 * release: the folder that `make release` made. artifactBucket: a bucket in the stack's region that its files were
 * copied to, below the folder's name. parameters: those of the template.
 */
export class ImageProcessor extends Stack {
  constructor(scope, id, { release, artifactBucket, parameters = {}, ...props }) {
    super(scope, id, props);
    const given = { ...parameters, ArtifactBucket: artifactBucket, ArtifactPrefix: `${basename(release)}/` };
    // Functions get a new version when this changes: with the release, and with each parameter.
    const changed = createHash('sha256').update(JSON.stringify(given)).digest('hex').slice(0, 16);
    /** `template.getResource('UploadBucket')` and `getOutput('CdnUrl')` are for your other constructs. */
    this.template = new CfnInclude(this, 'Template', {
      templateFile: join(release, 'template.json'),
      parameters: { ...given, Release: changed },
    });
  }
}

const app = new App();
new ImageProcessor(app, 'images', app.node.getContext('imageProcessor'));
app.synth();
