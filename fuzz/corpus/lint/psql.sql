0\set x 1
SELECT :"x", E'\'', $a$ ; $a$ \gset
COPY t FROM stdin;
1\t2
\.
ALTER TABEL t;
