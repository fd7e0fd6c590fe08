<?php
// Signs the vectors with the class of the plugin.
require getenv( 'EXAMPLES' ) . '/wordpress/image-processor/class-image-processor.php';

$urls = array();
foreach ( json_decode( getenv( 'VECTORS' ), true ) as $vector ) {
	$images = new Image_Processor( 'http://x', '', $vector['base'], $vector['signing_key'] );
	$urls[] = $images->url( $vector['key'], $vector['parameters'], $vector['expires'] );
}
echo json_encode( $urls );
