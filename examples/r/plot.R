# The curves of the people in a table, by base R: Rscript plot.R TABLE.csv [PICTURE.png] [COLUMN ...]
given <- commandArgs(trailingOnly = TRUE)
if (length(given) < 1) stop("usage: Rscript plot.R TABLE.csv [PICTURE.png] [COLUMN ...]")
picture <- if (length(given) > 1) given[2] else "curves.png"
columns <- if (length(given) > 2) given[-(1:2)] else c("AU12", "valence")

table <- read.csv(given[1], check.names = FALSE)
missing <- setdiff(columns, names(table))
if (length(missing)) stop("no such column: ", paste(missing, collapse = ", "))
seen <- table[table$success == 1, ]
people <- sort(unique(seen$face_id))
if (!length(people)) stop("no face in ", given[1])
who <- function(face) {
  name <- if ("face_name" %in% names(seen)) seen$face_name[seen$face_id == face][1] else NA
  if (is.na(name) || name == "") paste("face", face) else name
}

png(picture, width = 1000, height = 260 * length(columns), res = 110)
par(mfrow = c(length(columns), 1), mar = c(4, 4, 1, 1))
colours <- palette.colors(length(people), palette = "Okabe-Ito", recycle = TRUE)
for (column in columns) {
  limits <- if (column %in% c("valence", "arousal")) c(-1, 1) else c(0, 1)
  plot(NULL, xlim = range(seen$timestamp), ylim = limits, xlab = "seconds", ylab = column)
  for (k in seq_along(people)) {
    # Frames in which the person is not seen break the line: NA between what is far apart.
    rows <- seen[seen$face_id == people[k], ]
    lines(rows$timestamp, ifelse(c(FALSE, diff(rows$frame) > 1), NA, rows[[column]]), col = colours[k])
  }
  legend("topright", vapply(people, who, ""), col = colours, lty = 1, bty = "n")
}
invisible(dev.off())

means <- aggregate(seen[columns], by = list(face_id = seen$face_id), FUN = mean, na.rm = TRUE)
print(means, digits = 3, row.names = FALSE)
cat("curves:", picture, "\n")
