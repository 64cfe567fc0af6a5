"""Coroutines in tests that are functions."""

import asyncio
import concurrent.futures


def run(coroutine):
    """Its result. It runs in a thread of its own: the browser's driver keeps a loop in the thread of the tests."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
