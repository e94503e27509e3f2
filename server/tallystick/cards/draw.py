"""Pages as files: PDF and SVG in millimetres, PNG in whole dots."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFont

from tallystick.cards.layout import Item, Mark, Page, Placed, Words

DPI_MIN, DPI_MAX = 150, 1_200
MM_PER_INCH = 25.4
POINTS_PER_INCH = 72
MARK_WIDTH_MM = 0.1
_BLACK, _WHITE = 0, 255


def pdf_of(pages: Iterable[Page]) -> bytes:
    """Return one PDF with all pages; bars are filled areas, not pictures."""
    file = FPDF(unit="mm")
    file.set_margin(0)
    file.set_auto_page_break(auto=False)
    file.set_creator("Tallystick")
    file.set_fill_color(0)
    file.set_line_width(MARK_WIDTH_MM)
    for page in pages:
        file.add_page(format=(page.width_mm, page.height_mm))
        for item in page.items:
            _to_pdf(file, item)
    return bytes(file.output())


def svg_of(page: Page) -> str:
    """Return a page as SVG, its units millimetres."""
    shapes = "\n".join(shape for item in page.items for shape in _to_svg(item))
    size = f'width="{page.width_mm:g}mm" height="{page.height_mm:g}mm"'
    view = f'viewBox="0 0 {page.width_mm:g} {page.height_mm:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view}>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{shapes}\n</svg>\n'
    )


def png_of(page: Page, *, dpi: int) -> bytes:
    """Return a page as PNG. A module is a whole number of dots, so that no bar is wider than its neighbour."""
    assert DPI_MIN <= dpi <= DPI_MAX, "the caller has checked it"
    dots = dpi / MM_PER_INCH
    size = (round(page.width_mm * dots), round(page.height_mm * dots))
    image = Image.new("L", size, _WHITE)
    brush = ImageDraw.Draw(image)
    for item in page.items:
        _to_png(brush, item, dots)
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def _to_pdf(file: FPDF, item: Item) -> None:
    match item:
        case Placed(symbol, x, y):
            for row, start, count in symbol.runs():
                left, top = x + start * symbol.module_mm, y + row * symbol.row_mm
                file.rect(left, top, count * symbol.module_mm, symbol.row_mm, style="F")
        case Words(text, x, y, size, centred):
            file.set_font("Helvetica", size=size / MM_PER_INCH * POINTS_PER_INCH)
            file.text(x - (file.get_string_width(text) / 2 if centred else 0), y, text)
        case Mark():
            file.line(item.x_mm, item.y_mm, item.to_x_mm, item.to_y_mm)


def _to_svg(item: Item) -> Iterator[str]:
    match item:
        case Placed(symbol, x, y):
            path = "".join(
                f"M{x + start * symbol.module_mm:.4f} {y + row * symbol.row_mm:.4f}"
                f"h{count * symbol.module_mm:.4f}v{symbol.row_mm:.4f}h{-count * symbol.module_mm:.4f}z"
                for row, start, count in symbol.runs()
            )
            yield f'<path d="{path}" shape-rendering="crispEdges"/>'
        case Words(text, x, y, size, centred):
            anchor = "middle" if centred else "start"
            yield (
                f'<text x="{x:.3f}" y="{y:.3f}" font-family="Helvetica, Arial, sans-serif" '
                f'font-size="{size:g}" text-anchor="{anchor}">{escape(text)}</text>'
            )
        case Mark(x, y, to_x, to_y):
            line = f'x1="{x:.3f}" y1="{y:.3f}" x2="{to_x:.3f}" y2="{to_y:.3f}"'
            yield f'<line {line} stroke="#000" stroke-width="{MARK_WIDTH_MM:g}"/>'


def _to_png(brush: ImageDraw.ImageDraw, item: Item, dots: float) -> None:
    match item:
        case Placed(symbol, x, y):
            module = max(1, int(symbol.module_mm * dots))
            height = module if len(symbol.rows) > 1 else round(symbol.row_mm * dots)
            left, top = round(x * dots), round(y * dots)
            left += (round(symbol.width_mm * dots) - module * len(symbol.rows[0])) // 2
            for row, start, count in symbol.runs():
                box_left, box_top = left + start * module, top + row * height
                corner = (box_left + count * module - 1, box_top + height - 1)
                brush.rectangle(((box_left, box_top), corner), fill=_BLACK)
        case Words(text, x, y, size, centred):
            font = ImageFont.load_default(size=size * dots)
            anchor = "ms" if centred else "ls"
            brush.text((x * dots, y * dots), text, fill=_BLACK, font=font, anchor=anchor)
        case Mark(x, y, to_x, to_y):
            brush.line(((x * dots, y * dots), (to_x * dots, to_y * dots)), fill=_BLACK, width=1)
