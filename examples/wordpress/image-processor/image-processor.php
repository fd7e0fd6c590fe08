<?php
/**
 * Plugin Name: Image processor
 * Description: Images of the media library are originals of image-processor, and pages show its renditions.
 * Version: 1.0
 * Requires at least: 6.2
 * Requires PHP: 8.0
 * License: Apache-2.0
 *
 * Settings are constants in wp-config.php: IMAGE_PROCESSOR_URL, and as needed IMAGE_PROCESSOR_TOKEN,
 * IMAGE_PROCESSOR_BASE (of the CDN) and IMAGE_PROCESSOR_SIGNING_KEY.
 *
 * @package image-processor
 */

if ( ! defined( 'ABSPATH' ) || ! defined( 'IMAGE_PROCESSOR_URL' ) ) {
	return;
}

require_once __DIR__ . '/class-image-processor.php';

const IMAGE_PROCESSOR_META   = '_image_processor'; // of an attachment: array( 'id' => ..., 'key' => ... )
const IMAGE_PROCESSOR_WIDTHS = array( 320, 640, 960, 1280, 1920, 2560 );

function image_processor(): Image_Processor {
	static $images = null;
	$images        ??= new Image_Processor(
		IMAGE_PROCESSOR_URL,
		defined( 'IMAGE_PROCESSOR_TOKEN' ) ? IMAGE_PROCESSOR_TOKEN : '',
		defined( 'IMAGE_PROCESSOR_BASE' ) ? IMAGE_PROCESSOR_BASE : '',
		defined( 'IMAGE_PROCESSOR_SIGNING_KEY' ) ? IMAGE_PROCESSOR_SIGNING_KEY : ''
	);
	return $images;
}

/** The key of an attachment's original, or null for one that was not sent: its own files are shown then. */
function image_processor_key( int $attachment_id ): ?string {
	$meta = get_post_meta( $attachment_id, IMAGE_PROCESSOR_META, true );
	return is_array( $meta ) ? $meta['key'] : null;
}

/** Send a new image. WordPress keeps its file, so that deactivating the plugin loses nothing. */
function image_processor_upload( array $metadata, int $attachment_id ): array {
	$path = wp_get_original_image_path( $attachment_id );
	if ( ! wp_attachment_is_image( $attachment_id ) || ! $path ) {
		return $metadata;
	}
	$folder = dirname( (string) get_post_meta( $attachment_id, '_wp_attached_file', true ) );
	$key    = 'wordpress/' . ( in_array( $folder, array( '', '.' ), true ) ? '' : "$folder/" ) . basename( $path );
	$answer = image_processor()->upload( $path, $key );
	if ( is_wp_error( $answer ) ) {
		error_log( "image-processor: $key: " . $answer->get_error_message() );
		return $metadata;
	}
	update_post_meta( $attachment_id, IMAGE_PROCESSOR_META, array( 'id' => $answer['id'], 'key' => $key ) );
	return $metadata;
}
add_filter( 'wp_generate_attachment_metadata', 'image_processor_upload', 10, 2 );

function image_processor_delete( int $attachment_id ): void {
	$meta = get_post_meta( $attachment_id, IMAGE_PROCESSOR_META, true );
	if ( is_array( $meta ) ) {
		$answer = image_processor()->delete( $meta['id'] );
		if ( is_wp_error( $answer ) ) {
			error_log( "image-processor: {$meta['key']}: " . $answer->get_error_message() );
		}
	}
}
add_action( 'delete_attachment', 'image_processor_delete' );

/** The URL, width and height of an image in a size of WordPress, such as 'medium' or array( 300, 300 ). */
function image_processor_downsize( $downsize, int $attachment_id, $size ) {
	$key      = image_processor_key( $attachment_id );
	$metadata = wp_get_attachment_metadata( $attachment_id );
	if ( null === $key || empty( $metadata['width'] ) ) {
		return $downsize;
	}
	list( $width, $height, $crop ) = image_processor_box( $size, (int) $metadata['width'], (int) $metadata['height'] );
	$parameters                    = array( 'w' => $width, 'fm' => 'auto' );
	if ( $crop ) {
		$parameters = array( 'w' => $width, 'h' => $height, 'g' => 'attention', 'fm' => 'auto' );
	}
	return array( image_processor()->url( $key, $parameters ), $width, $height, true );
}
add_filter( 'image_downsize', 'image_processor_downsize', 10, 3 );

/** Width and height of a size for an image, and whether it is cropped to them. */
function image_processor_box( $size, int $width, int $height ): array {
	if ( is_array( $size ) ) {
		$box = array( 'width' => (int) $size[0], 'height' => (int) $size[1], 'crop' => false );
	} else {
		$box = wp_get_registered_image_subsizes()[ $size ] ?? array( 'width' => 0, 'height' => 0, 'crop' => false );
	}
	if ( $box['crop'] && $box['width'] && $box['height'] ) {
		return array( min( $box['width'], $width ), min( $box['height'], $height ), true );
	}
	list( $to_width, $to_height ) = wp_constrain_dimensions( $width, $height, (int) $box['width'], (int) $box['height'] );
	return array( $to_width, $to_height, false );
}

/** The `srcset` of what wp_get_attachment_image() writes, unless the size is cropped. */
function image_processor_attributes( array $attributes, $attachment, $size ): array {
	$key      = image_processor_key( $attachment->ID );
	$metadata = wp_get_attachment_metadata( $attachment->ID );
	if ( null === $key || empty( $metadata['width'] ) ) {
		return $attributes;
	}
	list( , , $crop ) = image_processor_box( $size, (int) $metadata['width'], (int) $metadata['height'] );
	if ( ! $crop ) {
		$attributes['srcset']  = image_processor_srcset( $key, (int) $metadata['width'] );
		$attributes['sizes'] ??= '100vw';
	}
	return $attributes;
}
add_filter( 'wp_get_attachment_image_attributes', 'image_processor_attributes', 10, 3 );

/** The images within posts: blocks store the URL of WordPress' own file. */
function image_processor_content_image( string $html, string $context, int $attachment_id ): string {
	$key      = $attachment_id ? image_processor_key( $attachment_id ) : null;
	$metadata = $attachment_id ? wp_get_attachment_metadata( $attachment_id ) : null;
	$tag      = new WP_HTML_Tag_Processor( $html );
	if ( null === $key || empty( $metadata['width'] ) || ! $tag->next_tag( 'img' ) ) {
		return $html;
	}
	$width = min( (int) $metadata['width'], max( IMAGE_PROCESSOR_WIDTHS ) );
	$tag->set_attribute( 'src', image_processor()->url( $key, array( 'w' => $width, 'fm' => 'auto' ) ) );
	$tag->set_attribute( 'srcset', image_processor_srcset( $key, (int) $metadata['width'] ) );
	if ( null === $tag->get_attribute( 'sizes' ) ) {
		$tag->set_attribute( 'sizes', '100vw' );
	}
	return $tag->get_updated_html();
}
add_filter( 'wp_content_img_tag', 'image_processor_content_image', 10, 3 );

/** Nothing beyond the original's width is offered. */
function image_processor_srcset( string $key, int $width ): string {
	$widths = array_unique( array_map( fn( $step ) => min( $step, $width ), IMAGE_PROCESSOR_WIDTHS ) );
	return image_processor()->srcset( $key, array_values( $widths ) );
}

/** WordPress makes no files of other sizes. Their names and dimensions stay, for image_downsize. */
add_filter( 'intermediate_image_sizes_advanced', '__return_empty_array' );
add_filter( 'big_image_size_threshold', '__return_false' );
