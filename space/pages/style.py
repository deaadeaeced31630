"""The hub's one look."""

from __future__ import annotations

import gradio as gr

THEME = gr.themes.Default(
    primary_hue="teal",
    neutral_hue="slate",
    font=["system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)

CSS = """
.gradio-container { max-width: 1200px !important; margin: 0 auto; }
.quiet { color: var(--body-text-color-subdued); }
"""
