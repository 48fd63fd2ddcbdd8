"""From runs to self-contained HTML pages."""
