<?php
/**
 * The REST API of image-processor by WordPress' HTTP functions, and URLs of renditions.
 *
 * @package image-processor
 */

class Image_Processor {
	private const ATTEMPTS = 3;

	private string $url;
	private string $token;
	private string $base;
	private string $kid    = '';
	private string $secret = '';

	/**
	 * @param string $url         Address of the API, such as http://127.0.0.1:8000.
	 * @param string $token       A token with the scope `write`, or ''.
	 * @param string $base        What URLs of renditions begin with; '' is /renditions below the API.
	 * @param string $signing_key ID:SECRET as in the server's IMAGE_PROCESSOR_SIGNING_KEYS, or ''.
	 */
	public function __construct( string $url, string $token = '', string $base = '', string $signing_key = '' ) {
		$this->url   = rtrim( $url, '/' );
		$this->token = $token;
		$this->base  = rtrim( '' === $base ? $this->url . '/renditions' : $base, '/' );
		if ( '' !== $signing_key ) {
			list( $this->kid, $this->secret ) = explode( ':', $signing_key, 2 );
		}
	}

	/**
	 * Store a file under a key. The answer has id, key, bytes, version and status, or is an error.
	 *
	 * @return array|WP_Error
	 */
	public function upload( string $path, string $key ) {
		$body = file_get_contents( $path );
		if ( false === $body ) {
			return new WP_Error( 'unreadable', "expected a file that can be read, got $path" );
		}
		return $this->request( 'PUT', '/uploads/' . $this->quote_key( $key ), $body );
	}

	/**
	 * Delete an image by its id. One that does not exist is no error.
	 *
	 * @return array|WP_Error
	 */
	public function delete( string $id ) {
		$answer = $this->request( 'DELETE', '/images/' . rawurlencode( $id ) );
		return is_wp_error( $answer ) && 'not-found' === $answer->get_error_code() ? array() : $answer;
	}

	/**
	 * The URL of a rendition, signed if there is a key. Names and values are those of docs/transformations.md in
	 * canonical form: short names in lower case, values with colons, colours without `#`.
	 *
	 * @param array<string, string|int> $parameters Such as array( 'w' => 640, 'fm' => 'auto' ).
	 */
	public function url( string $key, array $parameters, ?int $expires = null ): string {
		$url = $this->base . '/' . $this->quote_key( $key ) . '?' . $this->query( $parameters );
		if ( '' === $this->secret ) {
			return $url;
		}
		$signature = array( 'kid' => $this->kid );
		if ( null !== $expires ) {
			$signature['expires'] = $expires;
		}
		$signed = array_merge( $parameters, $signature );
		ksort( $signed, SORT_STRING );
		$digest = hash_hmac( 'sha256', $key . '?' . $this->query( $signed ), $this->secret, true );
		$mac    = rtrim( strtr( base64_encode( $digest ), '+/', '-_' ), '=' );
		return $url . '&' . $this->query( $signature ) . '&s=' . $mac;
	}

	/**
	 * The value of `srcset`. The server chooses the format by Accept.
	 *
	 * @param int[] $widths In pixels.
	 */
	public function srcset( string $key, array $widths ): string {
		$candidate = fn( int $width ) => $this->url( $key, array( 'w' => $width, 'fm' => 'auto' ) ) . " {$width}w";
		return implode( ', ', array_map( $candidate, $widths ) );
	}

	/** A key as a path. Clients resolve `..`, so the slashes of a key with such a segment are encoded. */
	public function quote_key( string $key ): string {
		$segments = explode( '/', $key );
		$slash    = array_intersect( array( '.', '..' ), $segments ) ? '%2F' : '/';
		$quoted   = implode( $slash, array_map( 'rawurlencode', $segments ) );
		return str_replace( array( '%3D', '%2C' ), array( '=', ',' ), $quoted );
	}

	private function query( array $pairs ): string {
		return implode( '&', array_map( fn( $name, $value ) => "$name=$value", array_keys( $pairs ), $pairs ) );
	}

	/**
	 * Every request has the same effect when it is sent twice, so what may be temporary is tried again.
	 *
	 * @return array|WP_Error
	 */
	private function request( string $method, string $path, ?string $body = null ) {
		$headers = array( 'Content-Type' => 'application/octet-stream' );
		if ( '' !== $this->token ) {
			$headers['Authorization'] = 'Bearer ' . $this->token;
		}
		for ( $attempt = 1; ; $attempt++ ) {
			$response = wp_remote_request(
				$this->url . $path,
				array( 'method' => $method, 'headers' => $headers, 'body' => $body, 'timeout' => 60 )
			);
			$status    = is_wp_error( $response ) ? 0 : (int) wp_remote_retrieve_response_code( $response );
			$temporary = in_array( $status, array( 0, 429, 502, 503, 504 ), true );
			if ( ! $temporary || self::ATTEMPTS === $attempt ) {
				return is_wp_error( $response ) ? $response : $this->answer( $status, wp_remote_retrieve_body( $response ) );
			}
			usleep( 200000 * 2 ** $attempt );
		}
	}

	/** @return array|WP_Error */
	private function answer( int $status, string $body ) {
		$content = json_decode( $body, true );
		$content = is_array( $content ) ? $content : array();
		if ( $status >= 200 && $status < 300 ) {
			return $content;
		}
		$message = implode( ' ', array_filter( array( $content['detail'] ?? "HTTP $status", $content['fix'] ?? '' ) ) );
		return new WP_Error( $content['code'] ?? "http-$status", $message );
	}
}
