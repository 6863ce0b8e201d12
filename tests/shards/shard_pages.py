"""Documents that the tests of shards make."""

from shards.document import Document, Frame, Media, Text, document_key


def page(name: str, *images: str) -> Document:
    """A document of http://x/NAME: a text before each of `images`, whose addresses and bytes are their names."""
    blocks = [
        block
        for image in images
        for block in (
            Text(text=f"Before {image}."),
            Media(
                kind="image",
                frames=(Frame(data=image.encode(), format="jpg", width=4, height=3),),
                url=f"http://x/{image}",
            ),
        )
    ]
    return Document(key=document_key(name), source=f"http://x/{name}", blocks=(*blocks, Text(text=f"End of {name}.")))
