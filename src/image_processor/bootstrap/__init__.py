"""The composition root: settings become running parts. The only package that imports adapters.

`aws` composes what Lambda functions and the operator's commands need on AWS, `local_library` and
`standalone` what one machine needs, `server` its HTTP server, `commands` what the command line needs.
"""
