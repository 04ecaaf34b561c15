"""Reports as DICOM Structured Reports, built from records and never from a received data set. See README.md."""
