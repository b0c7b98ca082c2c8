# chatkit with JupyterLab. docker-compose.yml builds and runs it, with Kafka and MongoDB beside it.
#
# The tag names one Python on one Debian. Where its bytes must be pinned too, put @sha256:... behind it.
FROM python:3.13.14-slim-trixie AS base

FROM base AS build
WORKDIR /source
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt
COPY . ./
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM base
# This layer stays for as long as the dependencies do, whatever else changes.
COPY --from=build /source/requirements.txt /tmp/requirements.txt
RUN pip install --no-cache-dir --root-user-action=ignore -r /tmp/requirements.txt
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir --root-user-action=ignore --no-deps /tmp/wheels/*.whl

# An empty volume laid over the notebooks takes this folder's owner.
RUN useradd --create-home --uid 1000 chatkit \
    && install -d -o chatkit -g chatkit /home/chatkit/chatkit-notebooks
USER chatkit
WORKDIR /home/chatkit
ENV JUPYTER_PORT=8888
EXPOSE 8888

# JupyterLab, reachable through the published port. It is only meant for a browser on the same
# machine, so it refuses requests that name another host. Its token is JUPYTER_TOKEN, else a new
# one, which it prints. Notebooks are copied from the package, never over others.
CMD folder="$(python -c 'from chatkit.lab import notebook_folder; print(notebook_folder()[0])')" \
    && export JUPYTER_CONFIG_PATH="$(python -c 'import chatkit; print(chatkit.__path__[0])')/jupyter" \
    && exec jupyter lab --no-browser --ServerApp.ip=0.0.0.0 --ServerApp.allow_remote_access=False \
    --ServerApp.port_retries=0 --ServerApp.root_dir="$folder" \
    --LabApp.default_url=/lab/tree/01-chat.ipynb --LabApp.news_url=None \
    --LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate \
    --LabApp.extension_manager=readonly
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s \
    CMD python -c "import http.client as h; c = h.HTTPConnection('127.0.0.1', $JUPYTER_PORT, timeout=5); c.request('GET', '/api'); exit(c.getresponse().status != 200)"
