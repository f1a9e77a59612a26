-- Records how PostgreSQL groups operators that follow each other without parentheses: precedence.tsv.
-- To record again, over an empty database of a PostgreSQL 15 where one is superuser:
--     psql -qAtX -v ON_ERROR_STOP=1 -d DATABASE -f precedence.sql > precedence.tsv
-- A view's definition does not say which parentheses were written, so the grouping of a text is the one of its possible
-- groupings that gives the same view (or the same error of types). Operators and casts are made for all types that may
-- meet, so that nearly every grouping has a type; what is left are syntax errors.
set client_min_messages = error;
set allow_system_table_mods = on;
create schema probe;
set search_path = probe, pg_catalog;

create type r as (f text);
create table t (a text, b text, c text, d text, e text, m text[], r r);
update pg_cast set castcontext = 'i' where castsource = 'bool'::regtype and casttarget in ('text'::regtype, 'varchar'::regtype);
create cast (text as boolean) with inout as implicit;
create cast (varchar as boolean) with inout as implicit;

create function infix(name text, result text) returns void language plpgsql as $$
declare
    l text; r text;
begin
    foreach l in array array['text', 'bool'] loop
        foreach r in array array['text', 'bool'] loop
            execute format('create function %I (%s, %s) returns %s language sql immutable as $x$ select null::%s $x$',
                concat('infix', name), l, r, result, result);
            execute format('create operator %s (leftarg = %s, rightarg = %s, function = %I)', name, l, r, concat('infix', name));
        end loop;
    end loop;
end $$;
create function prefix(name text) returns void language plpgsql as $$
declare
    r text;
begin
    foreach r in array array['text', 'bool'] loop
        execute format('create function %I (%s) returns text language sql immutable as $x$ select null::text $x$',
            concat('prefix', name), r);
        execute format('create operator %s (rightarg = %s, function = %I)', name, r, concat('prefix', name));
    end loop;
end $$;
select from unnest(array['+','-','*','/','%','^','||','->','->>','#>','#>>','@>','<@','<<','>>','&','|','#','&&','<->','@@'])
    name, infix(name, 'text');
select from unnest(array['~','!~','~*','!~*','~~','!~~','~~*','!~~*','^@','?|','=','<','>','<=','>=','<>']) name,
    infix(name, 'bool');
select from unnest(array['-','+','~','@','|/','||/','!!','#']) name, prefix(name);

do $$
declare
    l text; r text; f text;
begin
    foreach l in array array['text', 'bool'] loop
        foreach r in array array['text', 'bool'] loop
            foreach f in array array['timezone', 'like_escape', 'similar_to_escape'] loop
                begin
                    execute format('create function pg_catalog.%I (%s, %s) returns text language sql immutable as $x$ select null::text $x$',
                        f, l, r);
                exception when duplicate_function then null;
                end;
            end loop;
        end loop;
    end loop;
end $$;

-- The view of an expression, or its error.
create function meaning(expression text) returns text language plpgsql set search_path = probe, pg_catalog as $$
begin
    execute format('create view pg_temp.v as select %s as x from t', expression);
    declare
        definition text := pg_get_viewdef('pg_temp.v'::regclass);
    begin
        drop view pg_temp.v;
        return definition;
    end;
exception when others then
    return concat('!', sqlstate, ' ', sqlerrm);
end $$;

set search_path = pg_catalog, public, probe;

-- Operators: all of them, and one of each level.
create table probe.infixes as select op, few from unnest(
    array['or','and','=','<','>','<=','>=','<>','!=','like','not like','ilike','not ilike','similar to','not similar to',
        'is distinct from','is not distinct from','+','-','*','/','%','^','||','->','->>','#>','#>>','@>','<@','<<','>>',
        '&','|','#','&&','<->','@@','~','!~','~*','!~*','~~','!~~','~~*','!~~*','^@','?|','at time zone','operator(probe.+)']
    ) op, lateral (select op in ('or','and','=','<=','like','not similar to','is distinct from','+','/','^','||','~',
        'at time zone','operator(probe.+)') few) x;
create table probe.postfixes as select op from unnest(
    array['is null','is not null','isnull','notnull','is true','is not false','is unknown','in (d)','not in (d, e)',
        '= any (m)','<> all (m)','like any (m)','not ilike all (m)','~ any (m)','::varchar(3)','collate "C"']) op;
create table probe.prefixes as select op from unnest(
    array['not','-','+','~','@','|/','||/','!!','#','operator(probe.-)']) op;

create table probe.texts (written text, grouped text);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from infixes x, infixes y, (values ('a %s b %s c', '(a %s b) %s c'), ('a %s b %s c', 'a %s (b %s c)')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from infixes x, postfixes y, (values ('a %s b %s', '(a %s b) %s'), ('a %s b %s', 'a %s (b %s)')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from postfixes x, infixes y, (values ('a %s %s b', '(a %s) %s b')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from postfixes x, postfixes y, (values ('a %s %s', '(a %s) %s')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from prefixes x, infixes y, (values ('%s a %s b', '(%s a) %s b'), ('%s a %s b', '%s (a %s b)')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from infixes x, prefixes y, (values ('a %s %s b', 'a %s (%s b)')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from prefixes x, postfixes y, (values ('%s a %s', '(%s a) %s'), ('%s a %s', '%s (a %s)')) v (w, g);
insert into texts select format(w, x.op, y.op), format(g, x.op, y.op)
    from prefixes x, prefixes y, (values ('%s %s a', '%s (%s a)')) v (w, g);
-- A prefix between two operators.
insert into texts select format(w, x.op, u.op, y.op), format(g, x.op, u.op, y.op)
    from infixes x, prefixes u, infixes y, (values
        ('a %s %s b %s c', '(a %s (%s b)) %s c'),
        ('a %s %s b %s c', 'a %s ((%s b) %s c)'),
        ('a %s %s b %s c', 'a %s (%s (b %s c))')) v (w, g)
    where x.few and y.few and u.op in ('not', '-', '~');
insert into texts select format(w, x.op, u.op, y.op), format(g, x.op, u.op, y.op)
    from infixes x, prefixes u, postfixes y, (values
        ('a %s %s b %s', '(a %s (%s b)) %s'),
        ('a %s %s b %s', 'a %s ((%s b) %s)'),
        ('a %s %s b %s', 'a %s (%s (b %s))')) v (w, g)
    where x.few and u.op in ('not', '-', '~');
-- Three operators.
insert into texts select format(w, x.op, y.op, z.op), format(g, x.op, y.op, z.op)
    from infixes x, infixes y, infixes z, (values
        ('a %s b %s c %s d', '((a %s b) %s c) %s d'),
        ('a %s b %s c %s d', '(a %s (b %s c)) %s d'),
        ('a %s b %s c %s d', '(a %s b) %s (c %s d)'),
        ('a %s b %s c %s d', 'a %s ((b %s c) %s d)'),
        ('a %s b %s c %s d', 'a %s (b %s (c %s d))')) v (w, g)
    where x.op in ('or','and','=','like','is distinct from','+','^','||','at time zone')
        and y.op in ('or','and','=','like','is distinct from','+','^','||','at time zone')
        and z.op in ('or','and','=','like','is distinct from','+','^','||','at time zone');
-- BETWEEN and ESCAPE have three operands.
insert into texts select format(w, k.op, y.op), format(g, k.op, y.op)
    from unnest(array['between', 'not between', 'between symmetric']) k (op), infixes y, (values
        ('a %2$s b %1$s c and d', '(a %2$s b) %1$s c and d'), ('a %2$s b %1$s c and d', 'a %2$s (b %1$s c and d)'),
        ('a %1$s b %2$s c and d', 'a %1$s (b %2$s c) and d'),
        ('a %1$s b and c %2$s d', '(a %1$s b and c) %2$s d'), ('a %1$s b and c %2$s d', 'a %1$s b and (c %2$s d)')) v (w, g)
    where not (y.op = 'and' and g like '%(b %2$s%');
insert into texts select format(w, k.op, y.op), format(g, k.op, y.op)
    from unnest(array['between', 'not between']) k (op), postfixes y, (values
        ('a %2$s %1$s c and d', '(a %2$s) %1$s c and d'),
        ('a %1$s b %2$s and d', 'a %1$s (b %2$s) and d'),
        ('a %1$s b and c %2$s', '(a %1$s b and c) %2$s'), ('a %1$s b and c %2$s', 'a %1$s b and (c %2$s)')) v (w, g);
insert into texts select format(w, k.op, y.op), format(g, k.op, y.op)
    from unnest(array['between', 'not between']) k (op), prefixes y, (values
        ('%2$s a %1$s c and d', '(%2$s a) %1$s c and d'), ('%2$s a %1$s c and d', '%2$s (a %1$s c and d)'),
        ('a %1$s %2$s b and d', 'a %1$s (%2$s b) and d'),
        ('a %1$s b and %2$s c', 'a %1$s b and (%2$s c)')) v (w, g);
insert into texts values
    ('a between b and c between d and e', '(a between b and c) between d and e'),
    ('a between b and c between d and e', 'a between b and (c between d and e)');
insert into texts select format(w, k.op, y.op), format(g, k.op, y.op)
    from unnest(array['like', 'not ilike', 'similar to']) k (op), infixes y, (values
        ('a %2$s b %1$s c escape d', '(a %2$s b) %1$s c escape d'), ('a %2$s b %1$s c escape d', 'a %2$s (b %1$s c escape d)'),
        ('a %1$s b %2$s c escape d', '(a %1$s b) %2$s c escape d'),
        ('a %1$s b %2$s c escape d', 'a %1$s (b %2$s c) escape d'),
        ('a %1$s b %2$s c escape d', 'a %1$s (b %2$s c escape d)'),
        ('a %1$s b escape c %2$s d', '(a %1$s b escape c) %2$s d'), ('a %1$s b escape c %2$s d', 'a %1$s b escape (c %2$s d)')) v (w, g);
-- Subscripts and fields.
insert into texts select format(w, y.op), format(g, y.op) from infixes y, (values
        ('a %s m[1]', 'a %s (m[1])'), ('m[1] %s b', '(m[1]) %s b'), ('a %s t.b', 'a %s (t.b)'), ('a %s (r).f', 'a %s ((r).f)')) v (w, g);
insert into texts select format(w, y.op), format(g, y.op) from prefixes y, (values
        ('%s m[1]', '%s (m[1])'), ('%s t.m[1]', '%s (t.m[1])'), ('%s (r).f', '%s ((r).f)')) v (w, g);
insert into texts select format(w, y.op), format(g, y.op) from postfixes y, (values
        ('m[1] %s', '(m[1]) %s'), ('(r).f %s', '((r).f) %s')) v (w, g);

create table probe.results (written text, grouped text, mine text, theirs text);
-- By portions: a transaction keeps the locks of all views that it made.
do $$
begin
    for portion in 0..99 loop
        insert into results select written, grouped, meaning(written), meaning(grouped) from texts
            where abs(hashtext(written)) % 100 = portion;
        commit;
    end loop;
end $$;
-- A text that is no error of syntax and has none or several groupings is an error of this script.
do $$
declare
    bad text;
begin
    select string_agg(written, E'\n') into bad from (
        select written from results where mine not like '!42601%'
        group by written having count(*) filter (where mine = theirs) <> 1 order by 1 limit 4000) x;
    if bad is not null then
        raise exception E'groupings unknown:\n%', bad;
    end if;
end $$;
select E'# How PostgreSQL 15 groups operators without parentheses: a text, and the same with parentheses or !SQLSTATE.\n'
    || E'# Made by precedence.sql, which says how; read by sql/parse/src/dialect/operators/tests.rs.';
select distinct written || E'\t' || '!42601' from results where mine like '!42601%'
union all
select written || E'\t' || grouped from results where mine not like '!42601%' and mine = theirs
order by 1;
