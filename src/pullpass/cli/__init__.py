"""The command line: ``pullpass``. Start-up matters: commands are loaded when they are asked for."""
