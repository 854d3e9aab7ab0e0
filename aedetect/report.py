"""Reports of detectors and tables (needs jinja2: ``pip install 'aedetect[report]'``)."""

from .apps.report.page import write_html as write_html
