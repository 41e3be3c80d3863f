"""One command a file: parse, call one public function, render."""
