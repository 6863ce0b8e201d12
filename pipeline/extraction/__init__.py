"""From the HTML of a page to the text and media that are its content; `pipeline.extract` is the way in."""
