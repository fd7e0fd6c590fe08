<?php
// The life of an attachment with the plugin: it is uploaded, shown, and with DELETE deleted.
require __DIR__ . '/wordpress_stubs.php';
require getenv( 'EXAMPLES' ) . '/wordpress/image-processor/image-processor.php';

$metadata[7] = array( 'width' => 120, 'height' => 80 );
update_post_meta( 7, '_wp_attached_file', getenv( 'ATTACHED' ) );
apply_filter( 'wp_generate_attachment_metadata', $metadata[7], 7 );
$html       = '<img class="wp-image-7" src="/wp-content/uploads/cat.jpg" alt="A &quot;cat&quot;">';
$attachment = (object) array( 'ID' => 7 );
$found      = array(
	'key'        => image_processor_key( 7 ),
	'thumbnail'  => apply_filter( 'image_downsize', false, 7, 'thumbnail' ),
	'medium'     => apply_filter( 'image_downsize', false, 7, 'medium' ),
	'exact'      => apply_filter( 'image_downsize', false, 7, array( 30, 99 ) ),
	'other'      => apply_filter( 'image_downsize', false, 8, 'medium' ),
	'attributes' => apply_filter( 'wp_get_attachment_image_attributes', array( 'alt' => 'x' ), $attachment, 'medium' ),
	'cropped'    => apply_filter( 'wp_get_attachment_image_attributes', array( 'alt' => 'x' ), $attachment, 'thumbnail' ),
	'content'    => apply_filter( 'wp_content_img_tag', $html, 'the_content', 7 ),
	'untouched'  => apply_filter( 'wp_content_img_tag', $html, 'the_content', 8 ) === $html,
);
if ( getenv( 'DELETE' ) ) {
	apply_filter( 'delete_attachment', 7 );
	apply_filter( 'delete_attachment', 7 );
}
$found['requests'] = $requests;
echo json_encode( $found );
