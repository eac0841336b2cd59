"""trionng in asyncio programs: Trio as a guest of asyncio's loop, and a portal into it.

Sockets of trionng are awaited in Trio tasks. An asyncio program opens one portal for its life, and
passes the calls to it. Nothing of this module is imported by `import trionng`.

Example:
    import asyncio

    import trionng
    from trionng.guest import open_portal

    async def main():
        async with open_portal() as portal:
            req = trionng.Req0(dial="tcp://127.0.0.1:5555")
            print(await portal.run(req.request, b"What is your name?"))
            await portal.run(req.aclose)

    asyncio.run(main())
"""

from trionng._base.names import publish as _publish
from trionng._guest.portal import Portal as Portal, open_portal as open_portal

_publish(__name__, globals())
