"""Cards on paper and plastic: symbols, layouts, and PDF, PNG and SVG files of them."""
