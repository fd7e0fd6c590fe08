"""The REST API: routes over protocols, for one machine and for AWS.

`standalone_app` builds the application that `serve` runs: uploads, renditions, live progress and the
web page. `aws_app` builds the application behind API Gateway. Both include the same route modules.
`bootstrap` provides what the routes work with.
"""
