"""chatkit: a chat and analytics workbench inside JupyterLab, over Apache Kafka and MongoDB."""
