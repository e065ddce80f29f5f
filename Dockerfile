# One image for every command of sunshave: `docker run sunshave worker`. Built in two steps, so that pip, its cache and
# the sources stay out of what runs.
FROM python:3.12-slim AS build
WORKDIR /build
RUN python -m venv /opt/sunshave
COPY requirements.lock ./
COPY pyproject.toml README.md LICENSE ./
COPY topology topology
COPY pipeline pipeline
COPY connectors connectors
COPY dashboards dashboards
COPY sunshave sunshave
# The lock as constraints: the same versions as everywhere, without the tools of development that it also pins.
RUN /opt/sunshave/bin/pip install --no-cache-dir --constraint requirements.lock .

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home --home-dir /var/lib/sunshave sunshave
COPY --from=build /opt/sunshave /opt/sunshave
ENV PATH=/opt/sunshave/bin:$PATH PYTHONUNBUFFERED=1 SUNSHAVE_HTTP=0.0.0.0:8000
USER sunshave
WORKDIR /var/lib/sunshave
ENTRYPOINT ["sunshave"]
CMD ["--help"]
