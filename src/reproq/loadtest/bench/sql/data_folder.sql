-- Where the server keeps its data; only a superuser or a reader of all settings may ask.
SELECT current_setting('data_directory')
