"""A JavaScript module for web pages and Node: nng's protocols over WebSocket.

`SP_JS` is its path, for a web server to serve or a build to copy. It is one file without
dependencies; `SP_D_TS` beside it has the types for TypeScript and editors. A page dials a ws
or wss listener with it.

Example:
    from trionng.browser import SP_JS

    @app.get("/sp.js")
    async def sp_js():
        return await quart.send_file(SP_JS, mimetype="text/javascript")
"""

from pathlib import Path

__all__ = ["SP_D_TS", "SP_JS"]

SP_JS: Path = Path(__file__).with_name("sp.js")
"""The path of the module, which has the classes Sub, Req, Push, Pair, Respondent and Message."""

SP_D_TS: Path = Path(__file__).with_name("sp.d.ts")
"""The path of its types. TypeScript finds a copy beside sp.js."""
