"""The outside door: WebSocket links and HTTP requests. The only package that imports trio-websocket and httpx."""
