"""Wiring: Settings -> the running parts. The only room that knows both ports and adapters.

`machine` wires one machine, `cloud` wires a Lambda function; neither loads what the other needs.
"""
