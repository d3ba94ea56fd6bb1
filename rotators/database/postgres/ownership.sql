-- Objects of the two users in this database, and shared ones (databases,
-- tablespaces), belong to the shared role. Default privileges and user mappings
-- are about a user, and stay.
select format('REASSIGN OWNED BY %I TO %I', r.rolname, @owner::text)
from pg_roles r
where r.rolname in (@base, @clone)
  and exists (
    select from pg_shdepend d
    where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'o'
      and d.classid not in ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
      and d.dbid in (0, (select oid from pg_database where datname = current_database()))
  )
