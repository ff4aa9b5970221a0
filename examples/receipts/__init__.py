"""Read photographed receipts: OCR in supervised processes, with a queue before it."""
