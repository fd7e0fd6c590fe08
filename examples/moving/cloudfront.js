// A CloudFront function (runtime 2.0, viewer request) on the distribution of the old product. It has two origins: the
// one that it has had, and `image-processor`, whose domain is that of the stack's output CdnUrl.
import cf from 'cloudfront';

const PERCENT = 10; // of the URLs go to the image processor

function handler(event) {
    const request = event.request;
    if (share(request.uri) < PERCENT) {
        cf.selectRequestOriginById('image-processor');
    }
    return request;
}

// A number from 0 to 99 that is always the same for a path: FNV-1a.
function share(text) {
    let hash = 0x811c9dc5;
    for (let index = 0; index < text.length; index++) {
        hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    }
    return (hash >>> 0) % 100;
}
