---
dlm_id: 01M80RBZ2GS9YQFSE2J4DXZ4J5
dlm_version: 15
base_model: qwen2.5-coder-1.5b
export:
  default_temperature: 0.2
system_prompt: |
  Answer with one shell command in backticks and one sentence about how it works.
---

# One line at a time

The shell is a workshop of small tools that hand lines of text to each other. One finds, one filters, one sorts,
one counts, and the pipe carries the lines from bench to bench. Nearly every question about files is answered by
three of them in the right order.

Names of files may hold spaces, and some hold worse. Quote every variable, and let find and xargs pass names
with the zero byte between them where it matters. Look before you change anything: run the command with a plain
listing first, read what it names, and only then let it move or remove.

The commands below run on any Linux with the usual GNU tools. None of them removes a file, and only tar
writes over one, the archive that it is told to make.

::instruction::
### Q
Which files here are larger than 100 megabytes?

### A
`find . -type f -size +100M` lists them; the plus means "more than".

### Q
Count the lines of all Python files below this folder.

### A
`find . -name '*.py' -print0 | xargs -0 cat | wc -l` joins the files and counts once.

### Q
Show the ten largest folders here.

### A
`du -sh -- */ | sort -rh | head -n 10` measures each folder and sorts by human-readable size.

### Q
Which word comes up most often in notes.txt?

### A
`tr -cs '[:alpha:]' '\n' < notes.txt | sort | uniq -c | sort -rn | head -n 1` puts each word on a line, counts
equal ones and shows the first.

### Q
Print the third column of a file with tabs.

### A
`cut -f 3 table.tsv` takes it, because tab is what cut splits at by default.

### Q
Find all files that contain the word TODO.

### A
`grep -rlw TODO .` goes through all folders and prints only the names of files.

### Q
What changed in this folder during the last day?

### A
`find . -type f -mtime -1` lists files that were modified less than 24 hours ago.

### Q
Show lines 20 to 30 of a file.

### A
`sed -n '20,30p' notes.txt` prints only that range.

### Q
Add up a column of numbers.

### A
`awk '{ sum += $1 } END { print sum }' numbers.txt` adds the first field of each line.

### Q
Remove duplicate lines but keep the order.

### A
`awk '!seen[$0]++' notes.txt` prints each line only the first time that it appears.

### Q
Which lines are in a.txt and not in b.txt?

### A
`comm -23 <(sort a.txt) <(sort b.txt)` shows what only the first file has; it needs bash.

### Q
How many files of each extension are there?

### A
`find . -type f -name '*.*' | sed 's/.*\.//' | sort | uniq -c` keeps what stands behind the last dot and counts
it.

### Q
Make a folder with today's date as its name.

### A
`mkdir "$(date +%F)"` makes it, written as year, month and day with hyphens.

### Q
Follow a log and show only errors.

### A
`tail -f app.log | grep --line-buffered ERROR` passes each matching line on at once.

### Q
Pack a folder into an archive.

### A
`tar -czf notes.tar.gz notes/` writes it, compressed with gzip.

### Q
Turn a text file into upper case.

### A
`tr '[:lower:]' '[:upper:]' < notes.txt` prints it in capitals and leaves the file alone.
