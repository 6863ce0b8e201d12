"""What the demo's pages say, in ordinary English.

A picture template has the fields of `say`: `{word}` (seven), `{a_word}` (a seven, an eight) and `{stroke}` (bold
or fine, measured from the ink). No sentence uses the word of a digit in another sense, so that a digit's word
always speaks of a picture.
"""

from collections.abc import Sequence
from random import Random

from demo.digits import Digit

PAIR_CAPTIONS = (
    "A handwritten {word}.",
    "The digit {word}.",
    "A {stroke} {word}, written by hand.",
    "This is {a_word}.",
    "A picture of {a_word}.",
    "{a_word}, scanned from a paper form.",
    "The number {word} in {stroke} strokes.",
    "A {stroke} {word}.",
)
FIGURE_CAPTIONS = (
    "A {stroke} {word} from the collection.",
    "The digit {word}, scanned from a form.",
    "{a_word} in black ink.",
    "Somebody's {word}, enlarged for this page.",
    "{a_word} written with {stroke} strokes.",
    "Figure: {a_word} as the writer left it.",
    "{a_word}, reduced to a small grid and drawn large again.",
    "The number {word} on white paper.",
    "Handwriting sample, showing {a_word}.",
    "A careful {word}, or perhaps a quick copy.",
    "The same hand may have written this {word} twice.",
    "This {stroke} {word} came from the middle of a form.",
)
ABOUT_PREVIOUS = (
    "The picture above shows {a_word}, and the strokes are {stroke}.",
    "What you have just seen is {a_word} from an old form.",
    "That {word} was written by somebody in a hurry.",
    "Most visitors read the drawing above as {a_word} without thinking.",
    "Look at the last picture again: the {word} has {stroke} lines.",
    "The writer of this {word} pressed the pen so that it left a {stroke} line.",
    "We asked several readers about the image above, and all of them said {word}.",
    "It is {a_word}, as the label on the back of the sheet confirms.",
    "Nobody doubts that the figure before this paragraph is {a_word}.",
    "A machine that sorts letters would have to recognise this {word} as well.",
    "Here the scanner kept the shape of the {word} but lost its edges.",
    "The {word} that you passed a moment ago belongs to our {stroke} samples.",
    "With its {stroke} outline, the scan above can only be {a_word}.",
    "You can tell that it is {a_word} even at this size.",
    "In the album this {word} is filed with the others that were collected on the same day.",
    "Such a {stroke} {word} is common on envelopes and on bank forms.",
    "The sample shown above was labelled {word} by the people who gathered it.",
    "Its writer meant {a_word}, and that is what we see.",
    "Squint a little and the grey squares above become {a_word}.",
    "The previous picture is among our favourite drawings of the number {word}.",
)
ABOUT_NEXT = (
    "The next picture shows {a_word} with {stroke} strokes.",
    "Below this paragraph you will find {a_word}.",
    "Now comes {a_word}, taken from another form.",
    "The scan that follows was labelled {word}.",
    "Scroll a little further to see a {stroke} {word}.",
    "Another writer gave us the {word} below.",
    "Underneath, the number {word} has been enlarged many times.",
    "What follows is {a_word}, whatever it may look like at a glance.",
    "Our next example is the digit {word}.",
    "Please compare your own handwriting with the {word} that comes next.",
    "The following image is filed under {word} in the register.",
    "Turn to the drawing below, which is {a_word} in {stroke} ink.",
    "We continue with {a_word} that was found near the end of the box.",
    "After this line there is a {stroke} {word} to look at.",
    "A reader sent a question about the {word} below.",
    "It is easy to recognise the coming figure as {a_word}.",
    "Then there is the {word}, which we show in the image under this text.",
    "To the register we also added the {stroke} {word} that you see below.",
)
REMARKS = (
    "The samples were collected from many people who filled in a printed form.",
    "Each drawing was scanned, cut out and reduced to a grid of grey squares.",
    "Nothing on this page has been retouched, although the pictures are enlarged.",
    "Handwriting changes with the pen, the paper and the mood of the writer.",
    "People who learned to write in different countries shape their numbers differently.",
    "Some writers lift the pen between strokes, and others never do.",
    "A good reader uses the whole shape and not a single line.",
    "Post offices were among the early users of machines that read addresses.",
    "Banks have also used such machines, because every cheque carries an amount.",
    "The grid is small, yet most people can read it from across the room.",
    "When the ink is weak, the scanner turns it into a pale grey.",
    "Older forms had boxes printed in a colour that the scanner could not see.",
    "We keep the sheets in a dry room, away from the light.",
    "Visitors often ask whether the writers knew what the samples were for.",
    "They were told only to write neatly and to stay inside the box.",
    "This collection is used in schools to explain how computers learn.",
    "If you find a mistake in a label, write to the people who look after the album.",
    "The order of the pictures has no meaning and was drawn by lot.",
    "A slow hand leaves a thick line, and a quick hand leaves a thin trace.",
    "From far away the grey squares melt together into a smooth shape.",
    "We have written down what every picture shows, so that nobody has to guess.",
    "Children enjoy these pages, and so do their teachers.",
    "The catalogue grew slowly, with a box of paper every winter.",
    "There is a quiet pleasure in looking at the marks that strangers have made.",
    "Many of these forms were filled in at a kitchen table.",
    "It helps to look at a picture for a while before reading what is said about it.",
    "The paper has yellowed since then, but the scans remain white.",
    "A blunt pencil and a sharp pen give very different edges.",
    "Not every curve was meant; some of them come from a shaking hand.",
    "The museum thanks the writers, whose names were never recorded.",
)
TITLES = ("Notes on", "A page of", "Looking at", "Samples of", "From the box of", "A closer view of")
SUBJECTS = ("handwriting", "written numbers", "ink and paper", "scanned forms", "old digits", "pen strokes")
PHOTOGRAPH_REMARKS = {
    "flower": (
        "From a photograph of a flower in full bloom, taken from close by.",
        "The photograph of the flower hangs in our reading room, beside the window.",
    ),
    "china": (
        "From a photograph of a temple in China, with a curved roof under a blue sky.",
        "The photograph of the temple reminds us that brushes came before pens.",
    ),
}


def say(template: str, digit: Digit) -> str:
    """The template's sentence about the digit, with a capital letter."""
    a_word = f"an {digit.word}" if digit.word == "eight" else f"a {digit.word}"
    sentence = template.format(word=digit.word, a_word=a_word, stroke=digit.stroke)
    return sentence[0].upper() + sentence[1:]


def say_each(templates: Sequence[str], digits: Sequence[Digit], random: Random) -> list[str]:
    """A sentence about each digit, no template used twice: a page that repeats itself reads like spam."""
    chosen = random.sample(templates, len(digits))
    return [say(template, digit) for template, digit in zip(chosen, digits, strict=True)]
