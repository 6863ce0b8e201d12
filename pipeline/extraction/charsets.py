"""The legacy charsets of the web: their codecs, their labels, and how likely a page's bytes are in each of them.

A charset is scored by the text that it makes of the bytes: the sum of the log-probabilities of the characters outside
ASCII, under the best fitting language that is written in it. A language is no more than its letters in order of
frequency, so that no table of any size and no further dependency are needed, and the same bytes give the same answer
everywhere.
"""

import codecs
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product

__all__ = ["CODECS", "LATIN_CHARSETS", "charset_of", "likelihoods", "sample_of"]

WESTERN = ("de", "fr", "es", "pt", "it", "sv", "da", "is", "nl")
CENTRAL = ("pl", "cs", "sk", "hu", "ro", "hr", "de")
LATIN = frozenset(("en", *WESTERN, *CENTRAL, "tr", "lt", "lv", "et"))
CYRILLIC = ("ru", "uk", "bg", "sr")
LATIN_CHARSETS = frozenset(
    "windows-1252 windows-1250 windows-1254 windows-1257 windows-1258 macintosh iso-8859-2 iso-8859-3 iso-8859-4 "
    "iso-8859-10 iso-8859-13 iso-8859-14 iso-8859-15 iso-8859-16".split()
)
CODECS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "windows-1252": ("cp1252", WESTERN),
    "windows-1251": ("cp1251", CYRILLIC),
    "shift_jis": ("cp932", ("ja",)),
    "gb18030": ("gb18030", ("zh-cn",)),
    "big5": ("big5hkscs", ("zh-tw",)),
    "euc-kr": ("cp949", ("ko",)),
    "euc-jp": ("euc_jp", ("ja",)),
    "koi8-u": ("koi8-u", ("uk",)),
    "koi8-r": ("koi8-r", CYRILLIC),
    "windows-1250": ("cp1250", CENTRAL),
    "windows-1253": ("cp1253", ("el",)),
    "windows-1254": ("cp1254", ("tr",)),
    "windows-1255": ("cp1255", ("he",)),
    "windows-1256": ("cp1256", ("ar", "fa")),
    "windows-1257": ("cp1257", ("lt", "lv", "et")),
    "windows-874": ("cp874", ("th",)),
    "iso-8859-2": ("iso8859-2", CENTRAL),
    "iso-8859-5": ("iso8859-5", CYRILLIC),
    "iso-8859-6": ("iso8859-6", ("ar",)),
    "iso-8859-7": ("iso8859-7", ("el",)),
    "ibm866": ("cp866", CYRILLIC),
    "iso-8859-3": ("iso8859-3", ()),
    "iso-8859-4": ("iso8859-4", ()),
    "iso-8859-8": ("iso8859-8", ()),
    "iso-8859-10": ("iso8859-10", ()),
    "iso-8859-13": ("iso8859-13", ()),
    "iso-8859-14": ("iso8859-14", ()),
    "iso-8859-15": ("iso8859-15", ()),
    "iso-8859-16": ("iso8859-16", ()),
    "macintosh": ("mac-roman", ()),
    "windows-1258": ("cp1258", ()),
    "x-mac-cyrillic": ("mac-cyrillic", ()),
    "iso-2022-jp": ("iso2022_jp_ext", ()),
}
"""For each charset, by its name in the WHATWG standard, the codec of Python that reads it as browsers do, and the
languages that it is recognised by; one without languages is believed where it is declared. The first wins a draw."""

SUBSETS = {
    "windows-1252": "ascii iso8859-1",
    "windows-1254": "iso8859-9",
    "windows-874": "tis-620 iso8859-11",
    "gb18030": "gb2312 gbk",
    "big5": "big5 cp950",
    "euc-kr": "euc_kr",
    "shift_jis": "shift_jis shift_jis_2004 shift_jisx0213",
    "euc-jp": "euc_jis_2004 euc_jisx0213",
    "iso-2022-jp": "iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_3",
    "utf-8": "utf-8 utf-7 utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be",
}
"""Codecs of Python, by the charset that browsers take a declaration of them for: a page that could declare UTF-16 in
bytes of ASCII is not written in UTF-16."""
BY_CODEC = {codec: charset for charset, (codec, _) in CODECS.items()}
BY_CODEC |= {codec: charset for charset, names in SUBSETS.items() for codec in names.split()}

LETTERS = {
    "en": "",
    "de": "üäößÜÄÖé",
    "fr": "éèàêçôùâîûœïëÉÀÇÊ",
    "es": "óíáéñúü¿¡ªºÁÉÍÓÚÑ",
    "pt": "ãçáéíóêõúâàôºªÉÁÍÓÇÃÕ",
    "it": "àèùòìéÈÀ°",
    "sv": "äåöÅÄÖé",
    "da": "øåæØÅéÆ",
    "is": "íáðéöóæúþýÍÁÞÓÚÆÖ",
    "nl": "ëéïèöü",
    "pl": "łążęóśćńźŁŚŻ",
    "cs": "íáěéřžýčšůúťňďóŘŠČŽÚ",
    "sk": "áíéčžýšúľťôňóďŕĺäŠČŽÚ",
    "hu": "áéőöíóüúűÁÉÖŐÜ",
    "ro": "ăîâşţÎŞŢ",
    "hr": "čšžćđŠČŽĆĐ",
    "tr": "ıüşöçğİÖÜŞÇâî",
    "lt": "ėšųįžūąčęŠŽĮČ",
    "lv": "āīēšņļūžģčķĀĪŠ",
    "et": "äõüöšžÕÜÄ",
    "ru": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "uk": "оаниівтерскулдмпзяьбгчйхцїжєюшфщґ",
    "bg": "аоиентрсвлкдпмзугябъчцщжхшйюфь",
    "sr": "аиоенртсдувкјпмлзбгшчцжћхњђљфџ",
    "el": "αοιετνσηρκπςλμυίόάγδέήωχθύφώξβζψϊΑΕΤΠΣΚΟΜΗΔΝΓΛΡΙΘΒΦΧΈΆΌΊ",
    "he": "יוהלאבתרמנשדקחפעטסגכםצזןךףץ",
    "ar": "اليمونرتبةعدسفهكقحجشطصخأذىضغثزءظئإؤآ،؟",
    "fa": "اینردهمتسوبشلزکگفخعقپحجآچطصضژغئظث،",
    "th": "านรอกเง่มยลวดท้สตะิปบคหแจพชขใไโผซีึืุู์ั็ำถศณธภญฟ",
}
"""The letters of a language outside ASCII, the most frequent first."""
IDEOGRAPHS = {
    "ja": (
        "のいるにとはをたしがでてなっかれらもすりこさんきまくあけよだせめちえどみつわうやそばべろー"
        "ンスルトリイアラクレッシドタロフジテマカサムメプデコバニグチオキウパ"
        "日本人大年一会国中出月上事者時分生自行同新部地社回業方間前定長学発用"
    ),
    "zh-cn": "的一是不了在人有我他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所"
    "去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从新业网",
    "zh-tw": "的一是不了在人有我他這為之大來以個中上們到說國和地也子時道出而要於就下得可你年生自會那後能對著事其裡所"
    "去行過家十用發天如然作方成者多日都三小軍二無同麼經法當起與好看學進種將還分此心前面又定見只主沒公從新業網",
    "ko": "이다는을의에가고하지한로사기도리인어서시자은들대나를아전일수해스정과보라그부있제으었상장안원국구적면만여",
}
"""The most frequent characters of the languages that have thousands."""
LEVELS = {
    "ja": ("cp932", (range(0x88, 0x99), range(0x40, 0xFD))),
    "zh-cn": ("gb18030", (range(0xB0, 0xD8), range(0xA1, 0xFF))),
    "zh-tw": ("big5hkscs", (range(0xA4, 0xC7), range(0x40, 0xFF))),
    "ko": ("cp949", (range(0xB0, 0xC9), range(0xA1, 0xFF))),
}
"""Where a charset keeps the other characters that are in common use: the ranges of the first and the second byte."""
PUNCTUATION = "\xa0’“”–—•©…·®»«°‘„×€№§"
WIDE_PUNCTUATION = "、。，！：？「」（）・《》“”‘’…—\u3000；【】『』～％０１２３４５６７８９／·©　"
RARE_LETTER, RARE_IDEOGRAPH, WRONG, ASCII = -9.0, -13.0, -16.0, -3.0
"""Log-probability of a character that the language does not usually have, of one that is no text, and of one of ASCII,
which counts since charsets of two bytes take some pairs of a letter and an ASCII character for one character."""
SINGLE_LETTER, RARER = -3.0, -0.1
"""What a language of another script loses for each byte that stands alone or beside a Latin letter, and each charset
for each more common one."""

RUN = re.compile(rb"[A-Za-z]?[\x80-\xff][0-9\x40-\x7e\x80-\xff]{0,16383}")
SAMPLE_BYTES = 16_384
SINGLE = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])|[A-Za-z][\xc0-\xff]|[\xc0-\xff][A-Za-z]")
"""A byte outside ASCII on its own, or beside a Latin letter: rare where words are written in another script."""


def charset_of(label: str) -> str | None:
    """The charset that browsers use for a declared `label`; None for one that is unknown."""
    label = label.lower().removesuffix("-i")
    for name in (label, label.removeprefix("x-"), label.replace("windows-", "cp").replace("31j", "932")):
        try:
            return BY_CODEC.get(codecs.lookup(name).name)
        except LookupError:
            continue
    return None


def sample_of(html: bytes) -> bytes:
    """What of the page lies outside ASCII, with the ASCII between that may be half a character; 16 KB at most."""
    runs: list[bytes] = []
    size = 0
    for run in RUN.finditer(html):
        runs.append(run.group())
        size += len(runs[-1])
        if size > SAMPLE_BYTES:
            break
    return b"\n".join(runs)[:SAMPLE_BYTES]


def likelihoods(sample: bytes) -> dict[str, float]:
    """The log-probability of the sample in each charset that can be recognised, beside that of its bytes of ASCII."""
    singles = len(SINGLE.findall(sample))
    plain = ASCII * sum(byte < 0x80 for byte in sample)
    found: dict[str, float] = {}
    for charset, (codec, languages) in CODECS.items():
        if languages:
            counts = Counter(sample.decode(codec, "replace"))
            spoken = (*languages, "en") if charset.startswith("windows-") else languages
            scores = [_likelihood(counts, language, singles) for language in spoken]
            found[charset] = max(scores) - plain + RARER * len(found)
    return found


def _likelihood(counts: Counter[str], language: str, singles: int) -> float:
    model, rare = _model(language), RARE_IDEOGRAPH if language in IDEOGRAPHS else RARE_LETTER
    total = 0.0 if language in LATIN or language in IDEOGRAPHS else SINGLE_LETTER * singles
    for character, count in counts.items():
        if character < "\x80":
            total += ASCII * count
        elif character < "\xa0" or "\ue000" <= character <= "\uf8ff" or character == "\ufffd":
            total += WRONG * count
        else:
            total += model.get(character, rare) * count
    return total


@cache
def _model(language: str) -> dict[str, float]:
    """Log-probability of each usual character of the language among those outside ASCII."""
    weights: dict[str, float] = defaultdict(float)
    if language in IDEOGRAPHS:
        _spread(weights, 0.45, {c: 1 / (rank + 5) for rank, c in enumerate(IDEOGRAPHS[language])})
        _spread(weights, 0.45, dict.fromkeys(_level(*LEVELS[language]), 1.0))
        _spread(weights, 0.10, dict.fromkeys(WIDE_PUNCTUATION, 1.0))
    else:
        letters = {c: 0.9**rank for rank, c in enumerate(LETTERS[language])}
        _spread(weights, 0.85, letters or {c: 0.85**rank for rank, c in enumerate(PUNCTUATION)})
        if language not in LATIN:
            _spread(weights, 0.05, {c.upper(): weight for c, weight in letters.items() if len(c.upper()) == 1})
        _spread(weights, 0.10, {c: 0.85**rank for rank, c in enumerate(PUNCTUATION)})
    return {character: math.log(weight) for character, weight in weights.items()}


def _spread(weights: dict[str, float], mass: float, shares: Mapping[str, float]) -> None:
    total = sum(shares.values())
    for character, share in shares.items():
        weights[character] += mass * share / total


def _level(codec: str, bytes_of: tuple[range, range]) -> Iterator[str]:
    for pair in product(*bytes_of):
        decoded = bytes(pair).decode(codec, "ignore")
        if len(decoded) == 1 and decoded >= "\x80":
            yield decoded
