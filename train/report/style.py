"""The page's style sheet: light, for the screen and for A4 paper, with nothing fetched from anywhere."""

STYLE = """
:root{--ink:#1d2733;--soft:#5d6b7a;--line:#dfe4ea;--wash:#f5f7f9;--blue:#0072b2;--orange:#b36b00;--red:#b34700}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;color:var(--ink);background:#fff;font:15px/1.55 "Segoe UI","Helvetica Neue",Arial,"Liberation Sans",
sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1040px;margin:0 auto;padding:44px 32px 72px}
header .kicker{margin:0 0 6px;color:var(--blue);font-weight:600;font-size:13px;letter-spacing:.08em;
text-transform:uppercase}
h1{margin:0 0 8px;font-size:34px;line-height:1.15;letter-spacing:-.015em;overflow-wrap:anywhere}
header .sub{margin:0;color:var(--soft);font-size:16px}
h2{margin:56px 0 6px;padding-top:18px;border-top:2px solid var(--ink);font-size:22px;line-height:1.25;
letter-spacing:-.01em}
h3{margin:32px 0 8px;font-size:16px}
p{max-width:88ch;margin:8px 0}
p.note{color:var(--soft);font-size:14px}
a{color:var(--blue)}
nav{margin:22px 0 0;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px}
nav a{text-decoration:none}
nav a:hover{text-decoration:underline}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:28px 0 8px}
.card{padding:14px 16px;border:1px solid var(--line);border-top:3px solid var(--blue);border-radius:4px}
.card .what{color:var(--soft);font-size:13px}
.card .value{font-size:30px;font-weight:600;line-height:1.25;letter-spacing:-.02em}
.card .range,.card .more{color:var(--soft);font-size:12.5px;line-height:1.45}
.state{margin:24px 0 0;padding:12px 16px;border-left:4px solid var(--blue);background:#eef5fa}
.state.bad{border-color:var(--red);background:#fdf3ec}
.state p{margin:0}
.state progress{width:100%;height:8px;margin-top:10px;accent-color:var(--blue)}
.missing{margin:14px 0;padding:10px 14px;border:1px dashed #b8c2cc;border-radius:4px;color:var(--soft);max-width:96ch}
code,pre{font-family:ui-monospace,"SFMono-Regular",Menlo,Consolas,"Liberation Mono",monospace;font-size:12.5px}
pre{margin:8px 0;padding:12px 14px;background:var(--wash);border-radius:4px;white-space:pre-wrap;overflow-wrap:anywhere}
dl.facts{display:grid;grid-template-columns:150px 1fr;gap:5px 18px;margin:16px 0}
dl.facts dt{color:var(--soft)}
dl.facts dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:14px 0}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;color:var(--soft);font-size:13.5px;padding-bottom:6px}
th,td{padding:6px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
thead th{border-bottom:1.5px solid var(--ink);font-weight:600;vertical-align:bottom}
th:first-child,td:first-child{text-align:left;padding-left:0}
tbody th{font-weight:600}
tbody th small{font-weight:400;color:var(--soft);margin-left:6px}
tr.all th,tr.all td{border-bottom:0;border-top:1.5px solid var(--ink)}
table.narrow{width:auto;min-width:420px}
table.best td b{color:var(--blue)}
table.best thead th{white-space:normal}
article+article,.compared+article{margin-top:72px;padding-top:8px;border-top:6px solid var(--line)}
.bar{display:inline-flex;align-items:center;gap:8px}
.bar i{display:block;width:64px;height:9px;border-radius:2px;
background:linear-gradient(#7fb8d8,#7fb8d8) 0/var(--to) 100%
no-repeat #eef2f5;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.bar b{font-weight:400;min-width:30px}
.none{color:#a9b3bd}
figure{margin:16px 0}
figure img{max-width:100%;height:auto;display:block}
figcaption{color:var(--soft);font-size:13.5px;max-width:96ch;margin-top:6px}
figure.beside{display:grid;grid-template-columns:440px minmax(0,1fr);gap:32px;align-items:center}
figure.tall img{max-height:760px}
details>summary{cursor:pointer;color:var(--blue);margin:10px 0}
.faces{display:grid;grid-template-columns:repeat(8,minmax(0,1fr));gap:14px 12px;margin:14px 0;padding:0;list-style:none}
.faces li{font-size:11.5px;line-height:1.4;min-width:0;break-inside:avoid}
.faces img,.faces .blank{width:100%;aspect-ratio:1;border-radius:3px;background:var(--wash);display:block;
margin-bottom:5px}
.faces .blank{display:grid;place-items:center;color:var(--soft);border:1px dashed #b8c2cc}
.faces .row{display:flex;justify-content:space-between;gap:4px;white-space:nowrap}
.faces .row span:first-child{overflow:hidden;text-overflow:ellipsis}
.label{color:var(--blue);font-weight:600}
.answer{color:var(--orange);font-weight:600}
.faces .file{color:#8a96a3;font-size:10px;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
ul.plain{max-width:92ch;padding-left:20px}
ul.plain li{margin:7px 0}
footer{margin-top:56px;padding-top:14px;border-top:1px solid var(--line);color:var(--soft);font-size:13px}
@media screen and (max-width:760px){main{padding:24px 16px}.faces{grid-template-columns:repeat(4,minmax(0,1fr))}
figure.beside{display:block}
dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:8px}}
@media print{@page{size:A4;margin:16mm 14mm}body{font-size:10pt}main{max-width:none;padding:0}nav{display:none}
h2{margin-top:28px}h2,h3{break-after:avoid}figure,table,.card,.state{break-inside:avoid}.scroll{overflow:visible}
table{font-size:9pt}th,td{padding:3px 6px}.card .value{font-size:20pt}details{display:none}.legend{break-after:avoid}
article+article,.compared+article{break-before:page;border:0;margin:0}
.cards{grid-template-columns:repeat(5,minmax(0,1fr));gap:6px}.card{padding:6px 8px}
.card .range,.card .more{font-size:7.5pt}
.faces{gap:8px 7px}.faces li{font-size:7pt}.faces .file{font-size:6pt}figure.tall img{max-height:150mm}
figure.beside{grid-template-columns:95mm minmax(0,1fr)}figure.dots img{max-height:100mm}}
"""
