"""HTTP edge: the REST API, of one machine and of AWS.

`machine` makes the application that `serve` runs, with uploads, renditions, live progress and the
page; `cloud` the one behind API Gateway. Both take their routes from the same modules.
"""
