"""Which peers get a message: a panel a protocol."""

from __future__ import annotations

from svg import Picture

WIDTH, HEIGHT = 280, 178
PANELS = (
    ("Req0 and Rep0", "one server gets the request and replies", "request"),
    ("Push0 and Pull0", "one worker gets each message", "push"),
    ("Pub0 and Sub0", "each subscriber of the topic gets it", "publish"),
    ("Surveyor0 and Respondent0", "all get it; replies until a deadline", "survey"),
    ("Pair0 and Pair1", "one peer, both directions", "pair"),
    ("Bus0", "all neighbours, both directions", "bus"),
)


def star(picture: Picture, x: float, y: float, names: tuple[str, str], kind: str) -> None:
    """Draw one socket and three peers of it."""
    picture.box(x + 4, y + 88, 90, 34, names[0], look="main")
    for number in range(3):
        top = y + 52 + 40 * number
        picture.box(x + 168, top, 108, 32, names[1])
        line = ((x + 94, y + 105), (x + 168, top + 16))
        if kind in ("request", "push") and number != 1:
            picture.line(*line, look="faint")
        else:
            picture.arrow(*line, both=kind in ("request", "survey"))


def pair(picture: Picture, x: float, y: float) -> None:
    """Draw two sockets."""
    picture.box(x + 14, y + 88, 80, 34, "Pair1", look="main")
    picture.box(x + 186, y + 88, 80, 34, "Pair1")
    picture.arrow((x + 94, y + 105), (x + 186, y + 105), both=True)


def bus(picture: Picture, x: float, y: float) -> None:
    """Draw three sockets that are all connected."""
    corners = ((x + 14, y + 56), (x + 186, y + 56), (x + 100, y + 132))
    picture.arrow((x + 94, y + 73), (x + 186, y + 73), both=True)
    picture.arrow((x + 70, y + 90), (x + 122, y + 132), both=True)
    picture.arrow((x + 210, y + 90), (x + 158, y + 132), both=True)
    for left, top in corners:
        picture.box(left, top, 80, 34, "Bus0", look="main" if left == x + 14 else "box")


def draw() -> Picture:
    """Draw the panels, three a row."""
    picture = Picture(3 * WIDTH, 2 * HEIGHT + 8, "Which peers get a message, by protocol")
    for number, (name, what, kind) in enumerate(PANELS):
        x, y = number % 3 * WIDTH, number // 3 * HEIGHT
        picture.text(x + WIDTH / 2, y + 20, name, look="strong")
        picture.text(x + WIDTH / 2, y + 38, what, look="small")
        if kind == "pair":
            pair(picture, x, y)
        elif kind == "bus":
            bus(picture, x, y)
        else:
            first, _, second = name.partition(" and ")
            star(picture, x, y, ("Surveyor0" if kind == "survey" else first, second), kind)
    return picture
