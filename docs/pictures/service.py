"""A service: where requests wait, which tasks run the handler, how replies leave."""

from __future__ import annotations

from svg import Picture


def draw() -> Picture:
    """Draw clients, the pool of contexts, and the workers in the caller's nursery."""
    picture = Picture(840, 316, "serve_rep: clients, the pool of contexts, workers in your nursery")
    for number in range(3):
        top = 78 + 64 * number
        picture.box(10, top, 92, 36, "client")
        picture.arrow((102, top + 18), (196, 124 + 26 * number), both=True)
    picture.text(10, 48, "any number of clients,", at="start", look="small")
    picture.text(10, 64, "each with many requests", at="start", look="small")

    picture.box(196, 84, 190, 134, look="main")
    picture.text(291, 106, "requests, in order", look="strong")
    for number in range(4):
        picture.box(212, 120 + 22 * number, 158, 18, look="box")
        picture.text(291, 133 + 22 * number, "request + its way back", look="small")
    picture.text(291, 240, "contexts of one Rep0, in C;", look="small")
    picture.text(291, 256, "a reply that waits for its client", look="small")
    picture.text(291, 272, "stays here and holds no worker", look="small")

    picture.box(472, 40, 336, 236, look="box")
    picture.text(640, 30, "your nursery", look="strong")
    for number, (name, what, look) in enumerate(
        (
            ("worker 1", "await handler(request)", "main"),
            ("worker 2", "await handler(request)", "main"),
            ("worker 3", "takes the next request", "main"),
            ("... workers=8", "start when they are needed", "box"),
        )
    ):
        top = 58 + 52 * number
        picture.box(520, top, 270, 42, name, what, look=look)
        if number < 3:
            picture.arrow((386, 128 + 24 * number), (520, top + 21), both=True)
    what = "An exception of a handler is raised here; a cancel ends the service."
    picture.text(640, 298, what, look="small")
    return picture
