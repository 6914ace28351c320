"""Bytes to requests and answers to bytes: shapes, signatures, and AWS's words for what is wrong with them."""
