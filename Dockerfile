# The worker in a container: the interpreter, the locked packages, Reproq, and nothing else; an ordinary user; no init,
# because the worker is right as PID 1 (it heeds signals from its first line on and reaps what the kernel hands to it).
#
#   docker build --tag reproq .
#
# For a project of your own, begin with `FROM reproq`, install its packages into /opt/reproq, copy it to /srv/app, and
# set DJANGO_SETTINGS_MODULE.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/reproq
COPY requirements/django-6.1.txt requirements/
# The versions of the lock, without the packages that only its tests need: as constraints, and constraints bear no hashes.
RUN sed -nE 's/^([a-z0-9-]+==[^ ;]+).*/\1/p' requirements/django-6.1.txt > constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/reproq/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /srv/app reproq
COPY --from=build /opt/reproq /opt/reproq
ENV PATH=/opt/reproq/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/app
USER reproq
STOPSIGNAL SIGTERM
# A list, never a text: a text is run by a shell, which would be PID 1 and keep the signals to itself.
CMD ["reproq", "worker"]
