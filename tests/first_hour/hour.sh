# A new user's first hour, on the command line: two people on clip.mp4, of whom one is a poster that the camera shows in
# the first second; then two clips of two conditions. Nothing here needs more than the messages and --help.
# Run by ../test_first_hour.py.
set -euo pipefail

affectkit --version
affectkit doctor > doctor.txt || true

# What is in the clip?
affectkit predict clip.mp4
affectkit summary clip.csv
affectkit report clip.csv -o clip.html

# Who is who? The report shows a poster as one of the two: the one that is seen for one second of two.
affectkit identities clip.csv | tee identities.txt
affectkit identities clip.csv --drop 0 --name 1=Eileen -o people.csv --export elan
affectkit report people.csv -o people.html

# The same in one go, for the next clip
affectkit predict clip.mp4 -o again.csv --min-track 1.5 --export elan --export vtt

# Two conditions
affectkit predict study/ --output-dir tables
affectkit summary tables/*.csv -o study.csv --wide
affectkit report tables/*.csv -o study.html --group 'light=bright:bright*,dark:dark*'
affectkit cite tables/bright-1.csv > cite.txt

# In pandas, and as a plot
python hour.py
