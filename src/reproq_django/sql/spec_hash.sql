-- The canonical form and the hash of a spec (contract 1), equal to reproq.canonical and reproq.spec in Python.
-- Both functions hold no name that search_path could lead astray, in whatever schema they are installed:
-- reproq_canonical names nothing of ours (it walks the document level by level, so it need not call itself), and
-- reproq_spec_hash has a parsed body, which keeps reproq_canonical by identity: it survives ALTER SCHEMA … RENAME,
-- SET SCHEMA and pg_dump. No literal below holds a backslash, so standard_conforming_strings has no say either.

CREATE OR REPLACE FUNCTION reproq_canonical(doc json, must_be text DEFAULT '') RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
    blanks CONSTANT text := ' ' || chr(9) || chr(10) || chr(13);
    form text;
    digits int;
    levels int;
BEGIN
    IF must_be NOT IN ('', json_typeof(doc)) THEN
        RAISE EXCEPTION 'args must be a JSON array and kwargs a JSON object, got %', json_typeof(doc)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    WITH RECURSIVE node AS (
        -- place: the ranks on the way from the top, so that sorting by it is sorting by position in the form.
        -- hidden: a later equal key counts instead. It is read all the same, so that its faults are refused.
        SELECT ARRAY[]::int[] AS place, btrim(doc::text, blanks)::json AS value, json_typeof(doc) AS kind,
            false AS hidden, '' AS before
        UNION ALL
        SELECT node.place || child.rank, child.value, json_typeof(child.value), node.hidden OR child.hidden, child.before
        FROM node CROSS JOIN LATERAL (
            SELECT item.rank::int AS rank, item.value, false AS hidden,
                CASE item.rank WHEN 1 THEN '' ELSE ',' END AS before
            FROM json_array_elements(CASE node.kind WHEN 'array' THEN node.value END) WITH ORDINALITY AS item (value, rank)
            UNION ALL
            SELECT member.rank::int, member.value, member.copy > 1,
                CASE member.rank WHEN 1 THEN '' ELSE ',' END || to_json(member.key)::text || ':'
            FROM (
                SELECT pair.key, pair.value,
                    row_number() OVER (ORDER BY pair.key COLLATE "C", pair.n DESC) AS rank,
                    row_number() OVER (PARTITION BY pair.key COLLATE "C" ORDER BY pair.n DESC) AS copy
                FROM json_each(CASE node.kind WHEN 'object' THEN node.value END) WITH ORDINALITY AS pair (key, value, n)
            ) AS member
        ) AS child
        WHERE node.kind IN ('array', 'object') AND cardinality(node.place) < 100
    ), scalar AS MATERIALIZED (
        SELECT node.place, node.kind, node.hidden, node.before,
            CASE WHEN node.kind IN ('string', 'number', 'boolean') THEN node.value #>> '{}' END AS written
        FROM node
    ), opening AS MATERIALIZED (
        SELECT scalar.*, scalar.before || CASE
            WHEN kind = 'array' THEN '['
            WHEN kind = 'object' THEN '{'
            WHEN kind = 'null' THEN 'null'
            WHEN kind = 'string' THEN to_json(written)::text
            WHEN kind = 'number' AND written ~ '[.eE]' THEN '0x' || encode(float8send(written::float8 + 0), 'hex')
            WHEN kind = 'number' AND written = '-0' THEN '0'
            ELSE written END AS token
        FROM scalar
    ), closing AS (
        SELECT place || 2147483647 AS place, CASE kind WHEN 'array' THEN ']' ELSE '}' END AS token
        FROM opening WHERE kind IN ('array', 'object') AND NOT hidden
    )
    SELECT
        (SELECT string_agg(part.token, '' ORDER BY part.place)
            FROM (SELECT place, token FROM opening WHERE NOT hidden UNION ALL SELECT place, token FROM closing) AS part),
        (SELECT max(length(ltrim(written, '-'))) FROM opening WHERE kind = 'number' AND written !~ '[.eE]'),
        (SELECT max(cardinality(place) + 1) FROM opening WHERE kind IN ('array', 'object'))
    INTO form, digits, levels;

    IF digits > 4300 THEN
        RAISE EXCEPTION 'an integer of % digits is more than 4300; pass it as a string', digits
            USING ERRCODE = 'numeric_value_out_of_range';
    END IF;
    IF levels > 100 THEN
        RAISE EXCEPTION 'the document is nested deeper than 100 levels; flatten it or pass a reference'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN form;
END
$function$;

CREATE OR REPLACE FUNCTION reproq_spec_hash(task_path text, args json, kwargs json) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(
    '{"args":' || reproq_canonical(args, 'array')
    || ',"kwargs":' || reproq_canonical(kwargs, 'object')
    || ',"task_path":' || pg_catalog.to_json(task_path)::text
    || ',"v":1}', 'UTF8')), 'hex');
