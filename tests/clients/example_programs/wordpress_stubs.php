<?php
/**
 * The few functions of WordPress that the plugin needs, for its test without WordPress. Requests go to the server.
 */

define( 'ABSPATH', '/' );
foreach ( array( 'IMAGE_PROCESSOR_URL' => 'IMAGES_URL', 'IMAGE_PROCESSOR_TOKEN' => 'IMAGES_TOKEN', 'IMAGE_PROCESSOR_SIGNING_KEY' => 'IMAGES_SIGNING_KEY' ) as $name => $variable ) {
	define( $name, getenv( $variable ) );
}

$filters  = array();
$meta     = array();
$metadata = array();
$requests = array();

class WP_Error {
	public function __construct( private string $code, private string $message ) {}
	public function get_error_code() { return $this->code; }
	public function get_error_message() { return $this->message; }
}

class WP_HTML_Tag_Processor {
	public function __construct( private string $html ) {
		preg_match_all( '/([a-z-]+)="([^"]*)"/', $html, $found );
		$this->attributes = array_combine( $found[1], array_map( 'html_entity_decode', $found[2] ) );
	}
	private array $attributes;
	public function next_tag( $name ) { return str_starts_with( $this->html, "<$name" ); }
	public function get_attribute( $name ) { return $this->attributes[ $name ] ?? null; }
	public function set_attribute( $name, $value ) { $this->attributes[ $name ] = $value; }
	public function get_updated_html() {
		$pairs = array_map( fn( $name, $value ) => "$name=\"" . htmlspecialchars( $value ) . '"', array_keys( $this->attributes ), $this->attributes );
		return '<img ' . implode( ' ', $pairs ) . '>';
	}
}

function add_filter( $name, $function, $priority = 10, $count = 1 ) { $GLOBALS['filters'][ $name ] = array( $function, $count ); }
function add_action( ...$values ) { add_filter( ...$values ); }
function apply_filter( $name, ...$values ) {
	list( $function, $count ) = $GLOBALS['filters'][ $name ];
	return $function( ...array_slice( $values, 0, $count ) );
}
function is_wp_error( $value ) { return $value instanceof WP_Error; }
function __return_empty_array() { return array(); }
function __return_false() { return false; }
function get_post_meta( $id, $name, $single ) { return $GLOBALS['meta'][ $id ][ $name ] ?? ''; }
function update_post_meta( $id, $name, $value ) { $GLOBALS['meta'][ $id ][ $name ] = $value; }
function wp_get_attachment_metadata( $id ) { return $GLOBALS['metadata'][ $id ] ?? false; }
function wp_get_original_image_path( $id ) { return getenv( 'IMAGE_PATH' ); }
function wp_attachment_is_image( $id ) { return true; }
function wp_get_registered_image_subsizes() {
	return array(
		'thumbnail' => array( 'width' => 150, 'height' => 150, 'crop' => true ),
		'medium'    => array( 'width' => 60, 'height' => 60, 'crop' => false ),
	);
}
function wp_constrain_dimensions( $width, $height, $max_width, $max_height ) {
	$ratio = min( 1, $max_width ? $max_width / $width : 1, $max_height ? $max_height / $height : 1 );
	return array( (int) round( $width * $ratio ), (int) round( $height * $ratio ) );
}
function wp_remote_request( $url, $options ) {
	$GLOBALS['requests'][] = $options['method'];
	$headers               = array_map( fn( $name, $value ) => "$name: $value", array_keys( $options['headers'] ), $options['headers'] );
	$http                  = array(
		'method'        => $options['method'],
		'header'        => implode( "\r\n", $headers ),
		'content'       => (string) $options['body'],
		'ignore_errors' => true,
		'timeout'       => $options['timeout'],
	);
	$body                  = @file_get_contents( $url, false, stream_context_create( array( 'http' => $http ) ) );
	if ( false === $body ) {
		return new WP_Error( 'http_request_failed', 'the connection failed' );
	}
	return array( 'status' => (int) explode( ' ', $http_response_header[0] )[1], 'body' => $body );
}
function wp_remote_retrieve_response_code( $response ) { return $response['status']; }
function wp_remote_retrieve_body( $response ) { return $response['body']; }
