"""Bytes to text: sentences whose encoding is known, real pages read by hand, and bytes of any kind."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.extraction.encodings import MOST_BYTES, Decoded, decode

RUSSIAN = "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему."
SENTENCES = {
    "windows-1251": ("cp1251", RUSSIAN),
    "koi8-r": ("koi8-r", RUSSIAN),
    "iso-8859-5": ("iso8859-5", RUSSIAN),
    "ibm866": ("cp866", RUSSIAN),
    "koi8-u": ("koi8-u", "Нехай кожний знає, що її слова їм відомі, і жити в Україні є щастя."),
    "shift_jis": ("cp932", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。①ﾃｽﾄ"),
    "euc-jp": ("euc_jp", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"),
    "gb18030": ("gbk", "有一天，我在公园里看见很多人，他们都在说中国的历史和文化。"),
    "big5": ("big5", "有一天，我在公園裡看見很多人，他們都在說中國的歷史和文化。"),
    "euc-kr": ("cp949", "나는 오늘 학교에 가서 친구를 만나고 한국의 역사에 대한 이야기를 들었다."),
    "windows-1252": ("cp1252", "Der Bär läuft über die große Brücke — “schön”, sagen die Mädchen und hören zu."),
    "windows-1250": ("cp1250", "Zażółć gęślą jaźń, mówił chłopiec, że też będzie się śmiał, gdyż było ciężko."),
    "windows-1253": ("cp1253", "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."),
    "windows-1254": (
        "cp1254",
        "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar; akıl ve vicdan sahibidirler, değişmiş.",
    ),
    "windows-1255": ("cp1255", "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם."),
    "windows-1256": ("cp1256", "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق."),
    "windows-1257": (
        "cp1257",
        "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis, jiems suteiktas protas ir sąžinė, šįžiem ūkį.",
    ),
    "windows-874": ("cp874", "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ"),
}
"""For each encoding, the codec to write it with and a sentence of a language that is written in it."""
ODD = {
    "chardet-Big5___chromium_Big5_with_no_encoding_specified.html": ("big5", "detected", "台北看守所昨天抽查"),
    "chardet-EUC-KR___chromium_windows-949_with_no_encoding_specified.html": ("euc-kr", "detected", "임시국회에서"),
    "chardet-GB2312___mozilla_bug171813_text.html": ("gb18030", "detected", "搜狐在线国庆免费大酬宾"),
    "chardet-SHIFT_JIS___chromium_Shift-JIS_with_no_encoding_specified.html": ("shift_jis", "detected", "衆院議院運営"),
    "chardet-UTF-16BE__plane1-utf-16be.html": ("utf-16be", "detected", "𐌀𐌖𐌋𐌄𐌑𐌉"),
    "chardet-UTF-32LE__plane1-utf-32le.html": ("utf-32le", "detected", "𐌀𐌖𐌋𐌄𐌑𐌉"),
    "chardet-windows-1251-russian___chromium_windows-1251_with_no_encoding_specified.html": (
        "windows-1251",
        "detected",
        "МОСКВА, 9 янв - РИА Новости",
    ),
    "goose3__test_cnn1.html": ("windows-1252", "meta", "Democrats to use Social Security"),
    "goose3__test_elmondo1.html": ("utf-8", "utf-8", "Unidad Editorial Información General"),
    "nokogiri__2ch.html": ("shift_jis", "meta", "２ちゃんねる掲示板へようこそ"),
    "postlight__jvndb.jvn.jp.html": ("utf-8", "utf-8", "脆弱性対策情報データベース"),
    "postlight__www.jnsa.org.html": ("shift_jis", "meta", "<html"),
    "wpull__kcna.html": ("utf-16le", "bom", "조선통신"),
    "wpull__mojibake.html": ("shift_jis", "detected", "文字化け"),
    "wpull__videogame_top.htm": ("shift_jis", "meta", "ナムコランド（沖縄県・那覇市・１９８２）"),
    "wpull__webtv.net_tvfoutreach_cocountdownto666.html": (
        "windows-1252",
        "detected",
        "on this website is: •True •Documented",
    ),
    "wpull__xhtml_invalid.html": ("utf-8", "utf-8", "lemons!"),
    "wpull__xkcd_1.html": ("utf-8", "meta", "Barrel - Part 1"),
}
TRAFILATURA = {
    "Koncesjonowana opozycja -Leszek Jażdżewski - Liberté!.html": ("utf-8", "Jażdżewski"),
    "Nowa Zelandia_ płatny urlop dla rodziców poronionego dziecka. Jak to wygląda w Polsce_ — Klub Jagielloński.html": (
        "utf-8",
        "płatny urlop dla rodziców",
    ),
    "archive.org.he.xinhuanet.com.25340717.html": ("gb18030", "话剧《约定无期限》河北各市巡演结束"),
    "auto-presse.de-minisuv.html": ("windows-1252", "Geschäftsführer"),
    "brasil247.com-militares.html": ("utf-8", "eleições"),
    "buero-hoppe.de.baumgutachten.html": ("windows-1252", "Baumgutachten"),
    "der-erfolg-gibt-recht.de.rinderleber.html": ("utf-8", "So schön winterlich"),
    "dw.com-elephants.html": ("utf-8", "éléphants"),
    "everardoherrera.com-momento.html": ("utf-8", "información"),
    "hundeverein-kreisunna.de.html": ("windows-1252", "Hunde"),
    "jan-grosser.de.xum1541.html": ("utf-8", "Möglichkeiten"),
    "kyffhaeuser-nachrichten.de-Regen.html": ("windows-1252", "für"),
    "lastampa.it.temperature.html": ("utf-8", "tornerà"),
    "maescot.de.schafskunde.html": ("utf-8", "Mäscot das Schaf"),
    "next2games.de.anno.html": ("windows-1252", "gewährleisten"),
    "nnz-online.de-Quantensprung.html": ("windows-1252", "für"),
    "parcoabruzzo.it.58354.html": ("utf-8", "biodiversità"),
    "sauvonsluniversite.com.spip.html": ("utf-8", "Décisions"),
    "unocero.com.marcas.html": ("utf-8", "tecnología"),
    "wordsmith.org.maudlin.html": ("windows-1252", "maudlin"),
}


def page(text: str, meta: str = "") -> str:
    return f"<html><head>{meta}<title>1</title></head><body><p>{text}</p></body></html>"


@pytest.mark.parametrize("encoding", SENTENCES)
def test_sentence_is_detected_where_nothing_is_declared(encoding):
    codec, sentence = SENTENCES[encoding]
    found = decode(page(sentence).encode(codec), None)
    assert found == Decoded(utf_8=page(sentence).encode(), encoding=encoding, reason="detected")


@pytest.mark.parametrize("encoding", SENTENCES)
def test_declarations_are_believed(encoding):
    codec, sentence = SENTENCES[encoding]
    html = page(sentence, f"<meta charset={encoding}>")
    assert decode(html.encode(codec), None) == Decoded(utf_8=html.encode(), encoding=encoding, reason="meta")
    header = f'text/html; Charset="{encoding.upper()}"'
    assert decode(html.encode(codec), header) == Decoded(utf_8=html.encode(), encoding=encoding, reason="content-type")


@pytest.mark.parametrize("encoding", SENTENCES)
def test_right_meta_wins_over_a_content_type_of_utf_8(encoding):
    codec, sentence = SENTENCES[encoding]
    html = page(sentence, f"<meta charset={encoding}>")
    assert decode(html.encode(codec), "text/html; charset=utf-8") == Decoded(
        utf_8=html.encode(), encoding=encoding, reason="meta"
    )


@pytest.mark.parametrize("wrong", ["utf-8", "shift_jis", "no-such-charset", "utf-16"])
@pytest.mark.parametrize("encoding", SENTENCES.keys() - {"shift_jis"})
def test_both_declarations_wrong(encoding, wrong):
    codec, sentence = SENTENCES[encoding]
    html = page(sentence, f"<meta charset={wrong}>")
    found = decode(html.encode(codec), f"text/html; charset={wrong}")
    assert found == Decoded(utf_8=html.encode(), encoding=encoding, reason="detected")


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "shift_jis", "euc-jp", "gb18030", "big5", "euc-kr"])
def test_letters_outweigh_a_declaration_of_latin_1(encoding):
    codec, sentence = SENTENCES[encoding]
    html = page(sentence, "<meta charset=iso-8859-1>")
    assert decode(html.encode(codec), "text/html; charset=ISO-8859-1").text == html


@pytest.mark.parametrize(
    ("label", "encoding"),
    [
        ("latin1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("ISO-8859-9", "windows-1254"),
        ("x-sjis", "shift_jis"),
        ("windows-31j", "shift_jis"),
        ("gb2312", "gb18030"),
        ("x-gbk", "gb18030"),
        ("ks_c_5601-1987", "euc-kr"),
        ("windows-949", "euc-kr"),
        ("big5-hkscs", "big5"),
        ("tis-620", "windows-874"),
        ("iso-8859-8-i", "iso-8859-8"),
        ("utf8", "utf-8"),
        ("utf-16le", "utf-8"),
        ("utf-7", "utf-8"),
        ("rot13", "utf-8"),
        ("unicode_escape", "utf-8"),
    ],
)
def test_labels_mean_what_they_mean_to_browsers(label, encoding):
    assert decode(b"<p>plain", f"text/html; charset={label}").encoding == encoding


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_decides_and_goes(codec):
    found = decode(page(RUSSIAN).encode(codec), "text/html; charset=koi8-r")
    assert (found.text, found.reason) == (page(RUSSIAN), "bom")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark(codec):
    found = decode(page(RUSSIAN[:20]).encode(codec), "text/html; charset=utf-8")
    assert (found.text, found.encoding) == (page(RUSSIAN[:20]), codec[:6] + codec[7:])


def test_valid_utf_8_wins_over_a_declaration():
    assert decode("<meta charset=gbk><p>größer</p>".encode(), None).text == "<meta charset=gbk><p>größer</p>"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>größer, schöner".encode() + b"\xc3", "<p>größer, schöner\ufffd"),
        ("<p>größer, schöner ".encode() + b"\xe4lter</p>", "<p>größer, schöner \ufffdlter</p>"),
    ],
)
@pytest.mark.parametrize("content_type", [None, "text/html; charset=utf-8"])
def test_damaged_utf_8_stays_utf_8(html, text, content_type):
    found = decode(html, content_type)
    assert (found.text, found.encoding) == (text, "utf-8")


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("<?xml version='1.0' encoding='euc-kr'?>", "meta"),
        ("<META http-equiv=Content-Type content='text/html; charset=euc-kr'>", "meta"),
        ("<!--" + "x" * 20_000 + "--><meta charset = 'euc-kr'>", "meta"),
        ("<script>'<meta charset=koi8-r>'</script><meta charset=euc-kr>", "meta"),
        ("<!-- <meta charset=koi8-r> --><script charset=koi8-r></script>", "detected"),
        ("x" * 70_000 + "<meta charset=euc-kr>", "detected"),
    ],
)
def test_where_a_declaration_counts(head, reason):
    html = head + SENTENCES["euc-kr"][1]
    assert decode(html.encode("cp949"), None) == Decoded(utf_8=html.encode(), encoding="euc-kr", reason=reason)


def test_japanese_mail_has_escapes():
    html = page(SENTENCES["euc-jp"][1])
    for content_type, reason in (None, "detected"), ("text/html; charset=iso-2022-jp", "content-type"):
        found = decode(html.encode("iso2022_jp"), content_type)
        assert (found.text, found.encoding, found.reason) == (html, "iso-2022-jp", reason)


def test_bytes_that_windows_1252_leaves_open_are_control_characters():
    assert (
        decode(b"\x81\x8d\x8f\x90\x9d \xe9t\xe9", "text/html; charset=windows-1252").text == "\x81\x8d\x8f\x90\x9d été"
    )


@pytest.mark.parametrize(
    "html",
    [b"", b"\0", b"\xff", b"\xff\xfe", b"\xfe\xff\xd8", b"\xff\xfe\0\0\x12", b"\xef\xbb\xbf\xff", b"<meta charset="],
)
def test_scraps(html):
    assert isinstance(decode(html, "text/html; charset="), Decoded)


def test_what_is_no_text_falls_back():
    found = decode(random.Random(0).randbytes(100_000), None)
    assert (found.encoding, found.reason, len(found.text)) == ("windows-1252", "fallback", 100_000)


def test_long_page_is_cut():
    assert len(decode(b"x" * (MOST_BYTES + 5), None).text) == MOST_BYTES


@pytest.mark.parametrize("name", ODD)
def test_odd_pages(material, name):
    found = decode((material / "pages/odd" / name).read_bytes(), None)
    encoding, reason, words = ODD[name]
    assert (found.encoding, found.reason, found.text.count("\ufffd")) == (encoding, reason, 0)
    assert words in found.text


@pytest.mark.parametrize("content_type", [None, "text/html; charset=utf-8", "text/html; charset=iso-8859-1"])
@pytest.mark.parametrize("name", TRAFILATURA)
def test_pages_of_trafilatura(material, name, content_type):
    found = decode((material / "pages/trafilatura" / name).read_bytes(), content_type)
    encoding, words = TRAFILATURA[name]
    assert words in found.text
    assert content_type or found.encoding == encoding


@given(st.binary(), st.text() | st.none())
def test_no_bytes_raise(html, label):
    assert isinstance(decode(html, label and f"text/html; charset={label}").text, str)


@given(st.text(st.characters(exclude_characters="\x00\x1b\ufeff", exclude_categories=["Cs"])))
def test_declared_utf_8_round_trips(text):
    assert decode(text.encode(), "text/html; charset=utf-8").text == text


def test_mutated_pages_give_text(material):
    dice = random.Random(20261121)
    for path in sorted((material / "pages/odd").iterdir()):
        html = bytearray(path.read_bytes()[:8192])
        for _ in range(8):
            for _ in range(20):
                html[dice.randrange(len(html))] = dice.randrange(256)
            start = dice.randrange(len(html) // 2)
            assert decode(bytes(html[start:]), dice.choice([None, "charset=gbk", "charset=utf-8"])).text
