"""The same hour in Python: a data frame, a plot, two conditions."""

import matplotlib

import affectkit

matplotlib.use("Agg")

table = affectkit.read_table("people.csv")
frame = table.to_pandas()
print(frame.groupby("face_name")[["AU06", "AU12", "valence"]].mean().round(3))

axes = table.plot("AU12", "AU25")
axes.figure.savefig("plot.png", dpi=80)

study = affectkit.read_table("tables/bright-1.csv").summary() + affectkit.read_table("tables/dark-1.csv").summary()
means = {str(group.key["input"]): group.measures["AU12"].mean for group in study}
print({name.rpartition("/")[2]: round(mean, 3) for name, mean in means.items()})

predictor = affectkit.Predictor()
(face,) = predictor.predict_image("portrait.jpg")
print(face.affect.expression, round(face.affect.valence, 2))
